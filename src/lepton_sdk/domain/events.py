"""The journal's entries: one class for each kind. `lepton_sdk.domain.history.apply` says what each changes in a run.

An entry is made with its own fields; its run, time and node are added when it is written:

>>> NodeLost("the provider says failed").data
{'detail': 'the provider says failed'}
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, TypeAlias, get_args

from attrs import evolve, field, frozen

from lepton_sdk.domain.entry import ALWAYS, Event, key_of, named, said_by
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.plain import readers
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import ContractViolation

__all__ = [
    "AnyEvent",
    "AttemptFailed",
    "Event",
    "NodeAdmitted",
    "NodeAnnounced",
    "NodeArmed",
    "NodeDuplicate",
    "NodeFinished",
    "NodeGivenUp",
    "NodeHung",
    "NodeIntended",
    "NodeLeft",
    "NodeLost",
    "NodeOwned",
    "NodeQueued",
    "NodeReachable",
    "NodeReleased",
    "NodeReleasing",
    "NodeRepeated",
    "NodeRestarted",
    "NodeRunning",
    "NodeUnkept",
    "NodeUnknown",
    "NodeUnresolved",
    "RunFinished",
    "RunPlanned",
    "Step",
    "StopRequested",
    "event_of",
]

# --- of a run ---------------------------------------------------------------------------------------------------------


@frozen
class RunPlanned(Event):
    """The run was accepted."""

    kind = "run.planned"
    job: Job


@frozen
class StopRequested(Event):
    """Somebody asked for the run's end; with ``now`` it waits for nothing any more."""

    kind = "run.stop"
    now: bool = False


@frozen
class RunFinished(Event):
    """The run is over, and every machine of it was given back."""

    kind = "run.finished"
    state: str
    exit_code: int | None = field(default=None, metadata=ALWAYS)
    signal: str | None = field(default=None, metadata=ALWAYS)
    error: str | None = field(default=None, metadata=ALWAYS)


@frozen
class AttemptFailed(Event):
    """Why an attempt did not end the run. The fields are those of `lepton_sdk.domain.record.Attempt`."""

    kind = "attempt.failed"
    number: int
    provider: str
    instance_type: str
    error: str
    message: str
    blocked: str
    next: str
    cause: str = "no_capacity"
    wait: float | None = None


# --- of a node --------------------------------------------------------------------------------------------------------


@frozen
class NodeAnnounced(Event):
    """A billable thing that belongs to a node is about to be made."""

    kind = "node.announced"
    thing: str = field(metadata=named("kind"))
    name: str


@frozen
class NodeRepeated(Event):
    """The create call is about to be repeated, under a key that the vendor keeps."""

    kind = "node.repeated"


@frozen
class NodeQueued(Event):
    """The provider has accepted the machine and not begun it, for a reason."""

    kind = "node.queued"
    detail: str = ""


@frozen
class NodeAdmitted(Event):
    """The machine has left the queue: from here on it boots."""

    kind = "node.admitted"


@frozen
class NodeArmed(Event):
    """Its watchdog lives."""

    kind = "node.armed"


@frozen
class NodeRestarted(Event):
    """The command failed there, and the node started it again; ``failures`` are all exit codes so far."""

    kind = "node.restarted"
    failures: tuple[int, ...]


@frozen
class NodeUnkept(Event):
    """Which parts of its log and outputs could not be fetched, one sentence each."""

    kind = "node.unkept"
    unkept: tuple[str, ...]


@frozen
class NodeHung(Event):
    """A plugin blocked the process that asked it about the node."""

    kind = "node.hung"
    plugin: str


@frozen
class NodeDuplicate(Event):
    """Another machine of its token exists, or is ``gone``; ``there``: a time at which it was certainly there."""

    kind = "node.duplicate"
    node: Node
    there: datetime | None = None
    gone: bool = False


@frozen
class NodeLeft(Event):
    """It cannot be given back now, and the run goes on without it."""

    kind = "node.left"
    detail: str = ""
    stopped: bool = False


@frozen
class NodeGivenUp(Event):
    """A person says that nobody will ever be able to give it back."""

    kind = "node.given-up"
    detail: str = ""
    seen: Stage | None = None


# --- steps of a node --------------------------------------------------------------------------------------------------


@frozen
class Step(Event):
    """A node's step to another stage.

    Attributes:
        detail: for people.
        reason: why the job on it ended.
        node: the machine, as its provider describes it.
        there: a time at which its machine was certainly there.
        seen: the stage from which the step was decided; the step is refused if the node has another stage by now.
    """

    stage: ClassVar[Stage]

    detail: str = field(default="", kw_only=True)
    reason: str | None = field(default=None, kw_only=True)
    node: Node | None = field(default=None, kw_only=True)
    there: datetime | None = field(default=None, kw_only=True)
    seen: Stage | None = field(default=None, kw_only=True)

    def decided(self, seen: Stage) -> Self:
        """The same step, decided while the node's stage was ``seen``."""
        return evolve(self, seen=seen)


@frozen
class NodeIntended(Step):
    """The create call is about to be made.

    Attributes:
        increment: the bill is rounded up to a multiple of these seconds.
        lasts: the most seconds that it can be billed under its limits.
        owner: the journal's name in its machine's tags.
        group: the id that the nodes of one attempt share.
        budget: the seconds of it that the run's total buys; ``None`` if no total applies.
    """

    kind = "node.intended"
    stage = Stage.INTENDED
    attempt: int
    rank: int
    epoch: int
    offer: Offer
    increment: float
    lasts: float | None = field(default=None, metadata=ALWAYS)
    owner: str = ""
    group: str = ""
    budget: float | None = None


@frozen
class NodeUnknown(Step):
    """The create call left and no answer came; or the id in the answer names nothing of ours."""

    kind = "node.unknown"
    stage = Stage.UNKNOWN
    detail: str = ""


@frozen
class NodeUnresolved(Step):
    """The run goes on with another offer; a machine that turns up is given back."""

    kind = "node.unresolved"
    stage = Stage.UNRESOLVED
    detail: str = ""


@frozen
class NodeOwned(Step):
    """The provider has given an id."""

    kind = "node.owned"
    stage = Stage.OWNED
    node: Node


@frozen
class NodeReachable(Step):
    """The provider says that it is ready, and its watchdog, if it has one, lives."""

    kind = "node.reachable"
    stage = Stage.REACHABLE
    node: Node


@frozen
class NodeRunning(Step):
    """The start is about to be made; it is exclusive on the node. ``executor`` names the plugin that starts the job."""

    kind = "node.running"
    stage = Stage.RUNNING
    epoch: int
    executor: str = ""


@frozen
class NodeFinished(Step):
    """The job has ended there."""

    kind = "node.finished"
    stage = Stage.FINISHED
    detail: str = field(default="", kw_only=True, metadata=ALWAYS)
    reason: str | None = field(default=None, kw_only=True, metadata=ALWAYS)
    there: datetime | None = field(default=None, kw_only=True, metadata=ALWAYS)
    exit_code: int | None = field(default=None, kw_only=True, metadata=ALWAYS)
    signal: str | None = field(default=None, kw_only=True, metadata=ALWAYS)
    started_at: datetime | None = field(default=None, kw_only=True, metadata=ALWAYS)
    finished_at: datetime | None = field(default=None, kw_only=True, metadata=ALWAYS)


@frozen
class NodeLost(Step):
    """It is gone without a result; ``stopped``: the job on it has certainly stopped by itself."""

    kind = "node.lost"
    stage = Stage.LOST
    detail: str = ""
    stopped: bool = False


@frozen
class NodeReleasing(Step):
    """From here on it is given back."""

    kind = "node.releasing"
    stage = Stage.RELEASING
    detail: str = ""


@frozen
class NodeReleased(Step):
    """The provider says that it is gone, or that it never was.

    Attributes:
        unseen: the seconds that a machine that nobody ever saw may have been billed.
    """

    kind = "node.released"
    stage = Stage.RELEASED
    detail: str = ""
    unseen: float = 0.0


AnyStep: TypeAlias = (
    NodeIntended
    | NodeUnknown
    | NodeUnresolved
    | NodeOwned
    | NodeReachable
    | NodeRunning
    | NodeFinished
    | NodeLost
    | NodeReleasing
    | NodeReleased
)
AnyNote: TypeAlias = NodeAnnounced | NodeRepeated | NodeQueued | NodeAdmitted | NodeArmed | NodeRestarted | NodeUnkept | NodeHung
AnyEvent: TypeAlias = (
    RunPlanned | StopRequested | RunFinished | AttemptFailed | AnyNote | NodeDuplicate | NodeLeft | NodeGivenUp | AnyStep
)

_KINDS: dict[str, type[AnyEvent]] = {one.kind: one for one in get_args(AnyEvent)}


def event_of(
    kind: str, run: str, at: datetime, token: str | None = None, data: Mapping[str, Any] | None = None, seq: int = 0
) -> AnyEvent:
    """Make an entry of one kind from its `Event.data`.

    Raises:
        ContractViolation: there is no such kind, or the data is not valid.
    """
    cls, said = _KINDS.get(kind), data or {}
    if cls is None:
        raise ContractViolation(f"no entry of a journal is called {kind!r}")
    read = readers(cls)  # type: ignore[arg-type] # a class is hashable
    try:
        values = {one.name: read[one.name](said[key_of(one)]) for one in said_by(cls) if key_of(one) in said}
        return cls(**values, run=run, at=at, token=token, seq=seq)
    except (KeyError, TypeError, ValueError) as error:
        raise ContractViolation(f"the entry {kind} of run {run} does not hold: {error!r}") from error
