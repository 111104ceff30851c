"""Give a machine back, again and again, until its provider says that it is gone. Begin with `release`, which asks once.

Two things happen before the first release call: the journal gets an entry, and one bounded attempt copies log and outputs to this
host. Nothing that a node or an executor says or does here can delay the release beyond that. When the attempt's last node is
gone, the entries of `attempts.after` are written with it.
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
    """Ask once for the node's release. With the attempt's last node the run ends, unless another attempt follows.

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
                # Soon it is certain that nothing runs there any more. Then the run may go on without this node.
                return member.run
            raise
        if answer.state is not NodeState.GONE:
            member.throttle.there[record.token] = asked_at
            return member.run
        # With the wrong account's key every machine looks gone, so check the account before believing it.
        await assure(engine, member.provider_name)
        await _forget(member)
    member = member.again()
    gone = NodeReleased(there=member.throttle.there.get(record.token))
    return await member.write(gone, *_after(member))


async def _forget(member: Member) -> None:
    """Forget what was pinned for the machine (its executor does it): its address may be another machine's tomorrow."""
    engine, node = member.engine, member.node

    async def forget() -> None:
        executor = engine.executor(node.access) if node.access is not None else None
        if isinstance(executor, Forgetting):
            await executor.forget(node)

    with suppress(NodeUnreachable):
        await ask_node(f"forgetting {node.id}", forget, engine.timing.answer, engine.clock)


def _after(member: Member) -> list[AttemptFailed | RunFinished]:
    """The entries that follow if the attempt has nothing else that may cost something."""
    if any(other.awaited for other in (*member.run.members, *member.run.prerequisites) if other.token != member.token):
        return []
    return list(after(member.run, member.now()))


async def _leave(member: Member, error: LeptonError) -> Run:
    """Let the run go on without the machine. Its entry stays open until a sweep has given it back."""
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
    """Ask for the release of all nodes of the attempt together, once the last of them may go."""
    engine, name, members = member.engine, member.record.group or member.run.id, member.again().run.members
    if any(one.awaited and one.stage not in GIVEN_BACK for one in members):
        return member.node.with_state(NodeState.RELEASING, "the other nodes of its group still go on")
    told = (engine.releases.last(name) or {}).get(member.node.id)
    if told is not None and told.state is NodeState.GONE:
        # Another node of the group has already asked for all of them.
        return told
    nodes = [one.node for one in members if one.awaited and one.node is not None]
    answers = await engine.releases.get(name, member.spec.timings.poll, lambda: released_group(engine, nodes))
    # The answer may not name a machine that was released before.
    return answers.get(member.node.id) or member.node.with_state(NodeState.RELEASING)
