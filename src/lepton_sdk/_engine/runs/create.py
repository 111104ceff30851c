"""The create call. Begin with `create`, or with `create_group` for a provider that makes all nodes in one call.

There is one call for each token. It is repeated only if the vendor keeps the token as an idempotency key (`repeat`). Otherwise a
lost answer is not repeated: `recover` searches for the machine. `confirm` writes that a machine is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk._engine.calls.create import Departure, Withdrawn, create_call, departure_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import note_account
from lepton_sdk._engine.inventory.duplicates import give_back_duplicate
from lepton_sdk._engine.launch.order import launch_of
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.providers import checked_answer, released
from lepton_sdk._engine.runs.attempts import PEER, refusal
from lepton_sdk.domain.events import AnyEvent, NodeOwned, NodeReachable, NodeReleased, NodeReleasing, NodeRepeated, NodeUnknown
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import ContractViolation, Disposition, LeptonError, StaleEpoch

__all__ = ["confirm", "create", "create_group", "not_made", "repeat"]


async def create(member: Member, secrets: Mapping[str, str]) -> Run:
    """Make the create call of a node that was announced."""
    _refuse_late(member.engine, member)
    return await _call([member], lambda departure: _created(member, secrets, departure))


async def create_group(members: Sequence[Member], secrets: Mapping[str, str]) -> Run:
    """Make one call for all nodes, at a provider that makes all of them or none."""
    _refuse_late(members[0].engine, *members)
    return await _call(members, lambda departure: _created_group(members, secrets, departure))


async def repeat(member: Member, secrets: Mapping[str, str]) -> Run:
    """Make the same call again with the same token. The vendor keeps the token as a key, so it makes no second machine."""
    _refuse_late(member.engine, member, stage=Stage.UNKNOWN)
    # Write first: a machine of this call may appear as long after it as after the first call.
    member = member.in_run(await member.write(NodeRepeated()))
    _refuse_late(member.engine, member, stage=Stage.UNKNOWN)
    return await _call([member], lambda departure: _created(member, secrets, departure))


async def _call(members: Sequence[Member], work: Callable[[Departure], Coroutine[Any, Any, Run]]) -> Run:
    """Make a create call that outlives its caller.

    If the caller is cancelled before the call has left, the call is withdrawn. If it has left, it goes on to its answer and its
    entry: otherwise the machine would have to be searched for, which takes minutes.
    """
    engine, tokens = members[0].engine, [member.token for member in members]
    departure = departure_of(engine, members[0].provider_name)
    task = asyncio.create_task(work(departure))
    engine.called.update(tokens)
    for token in tokens:
        engine.creating[token] = task

    def over(done: asyncio.Future[Run]) -> None:
        for token in tokens:
            engine.creating.pop(token, None)
        # If nobody waits any more, nobody needs the error: the entry says the same.
        if not done.cancelled() and done.exception() is None:
            unknown = {record.token for record in done.result().nodes if record.stage is Stage.UNKNOWN}
            engine.called.difference_update(set(tokens) - unknown)

    task.add_done_callback(over)
    try:
        await _unless_stopped(members[0], task, departure)
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        departure.withdraw()
        raise


async def _unless_stopped(member: Member, task: asyncio.Task[Run], departure: Departure) -> None:
    """Withdraw the call if its run is stopped while the call still waits for its turn."""
    engine = member.engine
    while not task.done() and not departure.left:
        pause = asyncio.create_task(engine.clock.sleep(engine.poll_seconds()))
        try:
            await asyncio.wait([task, pause], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
        if engine.journal.stops(member.run.id):
            departure.withdraw()
            return


def _refuse_late(engine: Engine, *members: Member, stage: Stage = Stage.INTENDED) -> None:
    """Refuse a create call if our claim has run out: between the entry and the call the host may have slept for hours.

    Raises:
        StaleEpoch: another follower may drive the run; it assumes that the call may have left, and searches for its machine.
        JournalForeign, JournalRolledBack: the journal may not act any more.
    """
    engine.journal.refuse_frozen()
    run_id = members[0].run.id
    stale = not engine.journal.may_act(run_id, engine.holder)
    waiting = {record.token for record in engine.journal.run(run_id).nodes if record.stage is stage}
    if stale or not waiting.issuperset(member.token for member in members):
        raise StaleEpoch(f"the claim on run {run_id} ran out before the create call left", hint="it is looked at again by itself")


async def _created(member: Member, secrets: Mapping[str, str], departure: Departure) -> Run:
    launch, offer = launch_of(member, secrets), member.record.offer
    seconds = _seconds(member)
    try:
        answer = await create_call(member.engine, offer, [launch], seconds=seconds, departure=departure)
    except Withdrawn as error:
        return await _withdrawn([member], error)
    except LeptonError as error:
        return await _failed(member, error)
    try:
        node = checked_answer(member.engine, offer.provider, answer)
    except ContractViolation as error:
        # Something was made, and the answer does not say what. Search for it by our token.
        return await _unknown(member, words_of(error))
    return await _confirmed(member, node)


def _seconds(member: Member) -> float:
    """How long the call may take. One that is made again must have left before the vendor forgets its key."""
    usual = member.engine.timing.create
    if member.record.stage is not Stage.UNKNOWN:
        return usual
    since = (member.now() - member.record.intended_at).total_seconds()
    return min(usual, max(1.0, member.spec.timings.idempotency - since))


async def _created_group(members: Sequence[Member], secrets: Mapping[str, str], departure: Departure) -> Run:
    first = members[0]
    engine, offer = first.engine, first.record.offer
    launches = [launch_of(member, secrets) for member in members]
    made: dict[str | None, Node] = {}
    detail = "the provider's answer does not name it"
    try:
        answers = await create_call(engine, offer, launches, seconds=engine.timing.create, departure=departure)
    except Withdrawn as error:
        return await _withdrawn(members, error)
    except LeptonError as error:
        if error.disposition is not Disposition.RECONCILE:
            return await _refused_whole(members, error)
        answers, detail = (), words_of(error)
    for answer in answers:
        try:
            node = checked_answer(engine, offer.provider, answer)
        except ContractViolation as error:
            detail = words_of(error)
        else:
            made[node.token] = node
    run = first.run
    for member in members:
        run = await _confirmed(member, made[member.token]) if member.token in made else await _unknown(member, detail)
    return run


async def _refused_whole(members: Sequence[Member], error: LeptonError) -> Run:
    run = await _failed(members[0], error)
    gone: list[AnyEvent] = [not_made(words_of(error), reason=PEER).about(member.token) for member in members[1:]]
    return await members[0].engine.write(run.id, *gone)


async def _confirmed(member: Member, node: Node) -> Run:
    try:
        return await confirm(member, node)
    except ContractViolation:
        # We were away so long that another follower has decided on this node. It may have adopted this very machine.
        member = member.again()
        record = member.record
        if record.node is not None and record.node.id == node.id:
            return member.run
        if record.stage is Stage.UNRESOLVED:
            await member.write(NodeReleasing("its answer came when its run had gone on: a duplicate", node=node))
            await released(member.engine, node)
        else:
            await give_back_duplicate(member.engine, record, node, node.since or record.intended_at)
        raise


async def confirm(member: Member, node: Node) -> Run:
    """Write that the node is ours; and, in the same transaction, that it can be reached, if the provider says so."""
    if node.token != member.token:
        return await _unknown(member, f"the node {node.id!r} in the answer does not carry our token")
    events: list[AnyEvent] = [NodeOwned(node)]
    # A machine that gets a watchdog can be used only once the watchdog lives.
    if node.state is NodeState.READY and node.access is not None and not member.spec.watched:
        events.append(NodeReachable(node))
    run = await member.write(*events)
    await note_account(member.engine, node.provider)
    return run


async def _failed(member: Member, error: LeptonError) -> Run:
    if member.record.stage is Stage.UNKNOWN:
        # The repeated call's error says nothing about the first call.
        return member.engine.journal.run(member.run.id)
    if error.disposition is Disposition.RECONCILE:
        run = await _unknown(member, words_of(error))
        await note_account(member.engine, member.provider_name)
        return run
    row = refusal(member.run, member.record.offer, error, member.engine.redacted)
    return await member.write(row, not_made(words_of(error)))


async def _unknown(member: Member, detail: str) -> Run:
    if member.record.stage is Stage.UNKNOWN:
        # The call was repeated, and its answer was lost again.
        return member.engine.journal.run(member.run.id)
    return await member.write(NodeUnknown(detail))


async def _withdrawn(members: Sequence[Member], error: LeptonError) -> Run:
    """Close the nodes of a withdrawn call: it made nothing. A repeated call stays open: the first one may have made something."""
    gone = [not_made(words_of(error)).about(one.token) for one in members if one.record.stage is Stage.INTENDED]
    engine, run_id = members[0].engine, members[0].run.id
    return await engine.write(run_id, *gone) if gone else engine.journal.run(run_id)


def not_made(detail: str, *, reason: str | None = None) -> NodeReleased:
    """The step that closes a create call that made nothing, unless somebody else has decided on the node meanwhile."""
    return NodeReleased(detail, reason=reason, seen=Stage.INTENDED)
