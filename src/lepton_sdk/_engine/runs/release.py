"""Giving a machine back: again and again until its provider says that it is gone.

Between the wish to release and the provider stand the journal's row and one bounded attempt to keep log and outputs. Nothing
that a node or an executor says or does here can hold the machine.
"""

from __future__ import annotations

from contextlib import suppress

from lepton_sdk._engine.calls.bounded import ask_node, words_of
from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.output.keep import keep
from lepton_sdk._engine.providers import released, released_group
from lepton_sdk._engine.runs.attempts import after
from lepton_sdk._engine.runs.observe import has_stopped
from lepton_sdk._retry import retrying
from lepton_sdk.domain.events import AttemptFailed, NodeLeft, NodeReleased, NodeReleasing, RunFinished
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import GIVEN_BACK, Stage
from lepton_sdk.errors import LeptonError, NodeUnreachable
from lepton_sdk.spi.capabilities import Forgetting

__all__ = ["release"]


async def release(member: Member, *, reason: str | None = None) -> Run:
    """Ask once for the node to be given back. With the attempt's last node the run ends, when nothing more is to be tried.

    Args:
        reason: why a node that did not end by itself is given back.
    """
    if member.record.stage is not Stage.RELEASING:
        member = member.in_run(await member.step(NodeReleasing(reason=reason)))
    record, engine = member.record, member.engine
    if record.node is not None:
        if member.due("keep"):
            run = await keep(member, silent=member.elapsed("silent") is not None or record.stopped)
            member = member.in_run(run)
        asked_at = member.now()
        try:
            answer = await _give_back(member)
        except LeptonError as error:
            if record.stopped or has_stopped(member):
                return await _leave(member, error)
            if member.run.job.retry.interruption.unreachable is not None and not member.run.stop_requested:
                # Soon it is certain that nothing runs there any more, and then the run may go on without it.
                return member.run
            raise
        if answer.state is not NodeState.GONE:
            member.throttle.there[record.token] = asked_at
            return member.run
        # In another account everything is gone.
        await assure(engine, member.provider_name)
        await _forget(member)
    member = member.again()
    gone = NodeReleased(there=member.throttle.there.get(record.token))
    return await member.write(gone, *_after(member))


async def _forget(member: Member) -> None:
    """What was pinned for a machine goes with it: its address may be another machine's tomorrow."""
    engine, node = member.engine, member.node

    async def forget() -> None:
        executor = engine.executor(node.access) if node.access is not None else None
        if isinstance(executor, Forgetting):
            await executor.forget(node)

    with suppress(NodeUnreachable):
        await ask_node(f"forgetting {node.id}", forget, engine.timing.answer, engine.clock)


def _after(member: Member) -> list[AttemptFailed | RunFinished]:
    """The rows that follow when the attempt has nothing else that may cost something."""
    if any(other.awaited for other in (*member.run.members, *member.run.prerequisites) if other.token != member.token):
        return []
    return list(after(member.run, member.now()))


async def _leave(member: Member, error: LeptonError) -> Run:
    """Go on without it: its row stays open until a sweep has given it back."""
    member, words = member.again(), words_of(error)
    member.engine.tell(
        f"run {member.run.id}: {member.provider_name} cannot give back a machine that is out of reach ({words}); its job has "
        "stopped there by itself, and the run goes on; next: lepton nodes shows the machine, lepton follow gives it back"
    )
    return await member.write(NodeLeft(words, stopped=True), *_after(member))


async def _give_back(member: Member) -> Node:
    timing, run = member.engine.timing, member.run
    nobody_reaches_it = member.record.stopped or run.job.retry.interruption.unreachable is not None
    seconds = timing.leave if nobody_reaches_it else timing.release
    ask = _released_with_its_group if run.job.nodes > 1 and member.spec.releases_groups else _released
    return await retrying(lambda: ask(member), member.engine.clock, seconds=seconds)


async def _released(member: Member) -> Node:
    return await released(member.engine, member.node)


async def _released_with_its_group(member: Member) -> Node:
    """Ask for all nodes of the attempt together, once the last of them shall go."""
    engine, name, members = member.engine, member.record.group or member.run.id, member.again().run.members
    if any(one.awaited and one.stage not in GIVEN_BACK for one in members):
        return member.node.with_state(NodeState.RELEASING, "the other nodes of its group still go on")
    told = (engine.releases.last(name) or {}).get(member.node.id)
    if told is not None and told.state is NodeState.GONE:
        # Another node of the group has asked for all of them.
        return told
    nodes = [one.node for one in members if one.awaited and one.node is not None]
    answers = await engine.releases.get(name, member.spec.timings.poll, lambda: released_group(engine, nodes))
    # What was released before is gone.
    return answers.get(member.node.id) or member.node.with_state(NodeState.RELEASING)
