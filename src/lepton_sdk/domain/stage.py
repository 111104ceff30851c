"""Stage: where a node of an attempt stands in the journal, and every legal step from there.

Which stages mean what, in one table:

==============  =========================  ==========================================================================
stage           the machine                the job on it
==============  =========================  ==========================================================================
``intended``    may be there               not begun
``unknown``     may be there               not begun
``unresolved``  may turn up                never begins: what turns up is given back
``owned``       is ours, boots             not begun
``reachable``   is ours, can be used       not begun
``running``     is ours                    begun, or about to begin
``finished``    is ours                    over, with a result
``lost``        may be there               over, without a result
``releasing``   is being given back        over
``released``    is gone, or never was      over
==============  =========================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["BEFORE_THE_JOB", "ENDING", "GIVEN_BACK", "OVER", "READY", "STAGES", "Stage", "chart"]


class Stage(StrEnum):
    """Where a node of an attempt stands in the journal."""

    INTENDED = "intended"
    OWNED = "owned"
    REACHABLE = "reachable"
    RUNNING = "running"
    FINISHED = "finished"
    RELEASING = "releasing"
    RELEASED = "released"
    UNKNOWN = "unknown"
    UNRESOLVED = "unresolved"
    LOST = "lost"


# Every legal step of a node's life. A step that is not in this table is a bug, and the journal refuses it.
# `intended` is written before the create call: a follower that finds it later cannot know whether the call left, and asks `find`.
# `running` is written before the start, which is exclusive on the node: a follower that finds it later starts again or attaches.
# From `owned` back to `unknown`: the id in the provider's answer names nothing of ours, so we search for our token instead.
# `unresolved` is a create call that nobody waits for any more: a machine that turns up is given back and gets no job.
# `releasing` has only one way out: a machine that is being given back is never used again.
STAGES: Mapping[Stage | None, frozenset[Stage]] = {
    None: frozenset({Stage.INTENDED}),
    Stage.INTENDED: frozenset({Stage.OWNED, Stage.UNKNOWN, Stage.UNRESOLVED, Stage.RELEASED}),
    Stage.UNKNOWN: frozenset({Stage.OWNED, Stage.UNRESOLVED, Stage.RELEASING, Stage.RELEASED}),
    Stage.UNRESOLVED: frozenset({Stage.RELEASING, Stage.RELEASED}),
    Stage.OWNED: frozenset({Stage.REACHABLE, Stage.LOST, Stage.RELEASING, Stage.UNKNOWN}),
    Stage.REACHABLE: frozenset({Stage.RUNNING, Stage.FINISHED, Stage.LOST, Stage.RELEASING}),
    Stage.RUNNING: frozenset({Stage.FINISHED, Stage.LOST, Stage.RELEASING}),
    Stage.FINISHED: frozenset({Stage.RELEASING}),
    Stage.LOST: frozenset({Stage.RELEASING}),
    Stage.RELEASING: frozenset({Stage.RELEASED}),
    Stage.RELEASED: frozenset(),
}

# A run with a node in one of these stages still waits for a machine.
BEFORE_THE_JOB = frozenset({Stage.INTENDED, Stage.UNKNOWN, Stage.OWNED, Stage.REACHABLE})
# The job can begin, or has begun.
READY = frozenset({Stage.REACHABLE, Stage.RUNNING})
# From here on every step leads to the release.
ENDING = frozenset({Stage.FINISHED, Stage.LOST, Stage.RELEASING})
# From here on a node does nothing more for its run.
OVER = ENDING | {Stage.UNRESOLVED, Stage.RELEASED}
# In these stages the machine cannot be asked for files any more.
GIVEN_BACK = frozenset({Stage.RELEASING, Stage.RELEASED})


def chart() -> str:
    """The legal steps as a Mermaid state diagram, made from the table."""
    steps = [
        f"    {'[*]' if before is None else before} --> {after}"
        for before, nexts in STAGES.items()
        for after in sorted(nexts, key=list(Stage).index)
    ]
    return "\n".join(["stateDiagram-v2", *steps, f"    {Stage.RELEASED} --> [*]"])
