"""Taking a machine: intent row, one create call, confirmation. What a lost answer left behind is found, not made again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk._engine.calls.create import create_call
from lepton_sdk._engine.calls.gate import checked_node
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure, note_account
from lepton_sdk._engine.inventory.duplicates import give_back_duplicate
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.inventory.leftovers import admit
from lepton_sdk._engine.launch.budget import longest_bill
from lepton_sdk._engine.launch.watchdog import boot_seconds, kept_seconds, startup_script, unseen_seconds
from lepton_sdk._engine.providers import found, released
from lepton_sdk._engine.runs.attempts import PEER, blocks, pause_before
from lepton_sdk._engine.tasks import gather_all
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import (
    ContractViolation,
    Disposition,
    LeptonError,
    OutcomeUnknown,
    ProviderError,
    StaleEpoch,
    UsageError,
)
from lepton_sdk.spi.provider import Launch

__all__ = ["acquire", "confirm", "refusal", "resolve"]

# A provider that does not say what became of a create call is asked for so long.
_UNASKED_SECONDS = 120.0
# Create calls of one attempt that are under way at the same time; the provider's own pace holds beside it.
_AT_ONCE = 8


async def acquire(engine: Engine, run: Run, offer: Offer, epoch: int) -> Run:
    """Take the nodes of the run's next attempt, all of one offer.

    The rows of all nodes are one transaction, so that an attempt fits under the caps whole or is refused whole. With the
    first refusal no further create call is made, and what the attempt holds already is given back by its next steps.

    Raises:
        BudgetExceeded: the cap over all machines would be passed; nothing was asked of the provider.

    Returns:
        The run with nodes that are owned, of unknown outcome, or released (the provider refused).
    """
    try:
        await admit(engine, offer.provider)
    except (ProviderError, UsageError) as error:
        # Nothing was asked for yet.
        return await engine.journal.write(refusal(engine, run, None, offer, error))
    attempt = run.attempts + 1
    increment = engine.spec(offer.provider).timings.billing_increment
    watched = engine.spec(offer.provider).watched
    after = max(engine.patience.keeping.time, kept_seconds(run.job.limits) if watched else 0.0)
    lasts = longest_bill(run, offer, boot_seconds(engine, offer), after=after, watched=watched)
    shared = {"attempt": attempt, "epoch": epoch, "offer": offer.to_dict(), "increment": increment, "lasts": lasts}
    now, tokens = engine.clock.now(), [engine.new_id() for _ in range(run.job.nodes)]
    rows = [Event("node.intended", run.id, now, token, shared | {"rank": rank}) for rank, token in enumerate(tokens)]
    run = await engine.journal.write(*rows, caps=engine.config.caps)
    if len(tokens) == 1:
        return await _create(engine, run, tokens[0], offer, 0)
    if "multi_node" in engine.spec(offer.provider).capabilities:
        return await _create_group(engine, run, tokens, offer)
    gate = asyncio.Semaphore(_AT_ONCE)
    await gather_all(*(_unless_refused(engine, run, token, offer, rank, gate) for rank, token in enumerate(tokens)))
    return engine.journal.run(run.id)


async def _unless_refused(engine: Engine, run: Run, token: str, offer: Offer, rank: int, gate: asyncio.Semaphore) -> Run:
    async with gate:
        run = engine.journal.run(run.id)
        if not run.stop_requested and not any(member.failed for member in run.members):
            return await _create(engine, run, token, offer, rank)
        detail = "not asked for: the attempt had failed by then"
        return await engine.journal.write(_refused(engine, run, token, detail, reason=PEER))


async def _create(engine: Engine, run: Run, token: str, offer: Offer, rank: int) -> Run:
    _refuse_late(engine, run, token)
    return await _in_any_case(engine, (token,), _created(engine, run, token, offer, rank))


async def _in_any_case(engine: Engine, tokens: Sequence[str], work: Coroutine[Any, Any, Run]) -> Run:
    """What comes of a create call. Whoever is cancelled meanwhile goes; the call goes on until its answer is in the journal.

    A machine whose answer nobody heard would have to be sought for minutes.
    """
    task = asyncio.ensure_future(work)
    engine.called.update(tokens)
    for token in tokens:
        engine.creating[token] = task

    def over(done: asyncio.Future[Run]) -> None:
        for token in tokens:
            engine.creating.pop(token, None)
        # Where nobody waits any more its error is nobody's; the row says the same.
        if not done.cancelled() and done.exception() is None:
            unknown = {record.token for record in done.result().nodes if record.stage is Stage.UNKNOWN}
            engine.called.difference_update(set(tokens) - unknown)

    task.add_done_callback(over)
    return await asyncio.shield(task)


async def _created(engine: Engine, run: Run, token: str, offer: Offer, rank: int) -> Run:
    launch = _launch(engine, run, token, offer, rank)
    try:
        answer = await create_call(engine, offer, [launch], seconds=engine.patience.create)
    except LeptonError as error:
        return await _failed(engine, run, token, offer, error)
    try:
        node = checked_node(answer, offer.provider)
    except ContractViolation as error:
        # Something was made, and the answer does not say what: our token does.
        return await engine.journal.write(_event(engine, run, "node.unknown", token, detail=words_of(error)))
    return await _confirmed(engine, run, token, node)


def _refuse_late(engine: Engine, run: Run, *tokens: str) -> None:
    """No create call may leave once our claim has run out: between its row and the call the host may have slept for hours.

    Raises:
        StaleEpoch: another follower may drive the run; it takes the row for a call that may have left, and looks for it.
        JournalForeign, JournalRolledBack: the journal may not act any more.
    """
    engine.journal.refuse_frozen()
    stale = not engine.journal.may_act(run.id, engine.holder)
    waiting = {record.token for record in engine.journal.run(run.id).nodes if record.stage is Stage.INTENDED}
    if stale or not waiting.issuperset(tokens):
        raise StaleEpoch(f"the claim on run {run.id} ran out before the create call left", hint="it is looked at again by itself")


async def _create_group(engine: Engine, run: Run, tokens: list[str], offer: Offer) -> Run:
    """One call for all nodes, of a provider that makes them all or none."""
    _refuse_late(engine, run, *tokens)
    return await _in_any_case(engine, tokens, _created_group(engine, run, tokens, offer))


async def _created_group(engine: Engine, run: Run, tokens: list[str], offer: Offer) -> Run:
    launches = [_launch(engine, run, token, offer, rank) for rank, token in enumerate(tokens)]
    made: dict[str | None, Node] = {}
    detail = "the provider's answer does not name it"
    try:
        answers = await create_call(engine, offer, launches, seconds=engine.patience.create)
    except LeptonError as error:
        if error.disposition is not Disposition.RECONCILE:
            return await _refused_whole(engine, run, tokens, offer, error)
        answers, detail = (), words_of(error)
    for answer in answers:
        try:
            node = checked_node(answer, offer.provider)
        except ContractViolation as error:
            detail = words_of(error)
        else:
            made[node.token] = node
    for token in tokens:
        if token in made:
            run = await _confirmed(engine, run, token, made[token])
        else:
            run = await engine.journal.write(_event(engine, run, "node.unknown", token, detail=detail))
    return run


async def _refused_whole(engine: Engine, run: Run, tokens: list[str], offer: Offer, error: LeptonError) -> Run:
    run = await _failed(engine, run, tokens[0], offer, error)
    gone = [_refused(engine, run, token, words_of(error), reason=PEER) for token in tokens[1:]]
    return await engine.journal.write(*gone)


async def _confirmed(engine: Engine, run: Run, token: str, node: Node) -> Run:
    try:
        return await confirm(engine, run, token, node)
    except ContractViolation:
        # We were away for so long that another follower has decided on the row. It may have adopted this very machine.
        run = engine.journal.run(run.id)
        record = next(record for record in run.nodes if record.token == token)
        if record.node is not None and record.node.id == node.id:
            return run
        if record.stage is Stage.UNRESOLVED:
            detail = "its answer came when its run had gone on: a duplicate"
            await engine.journal.write(_event(engine, run, "node.releasing", token, node=node.to_dict(), detail=detail))
            await released(engine, node)
        else:
            await give_back_duplicate(engine, record, node, node.since or record.intended_at)
        raise


async def confirm(engine: Engine, run: Run, token: str, node: Node) -> Run:
    """Write that the node is ours, and in the same breath that it can be reached when the provider says so."""
    if node.token != token:
        text = f"the node {node.id!r} in the answer does not carry our token"
        return await engine.journal.write(_event(engine, run, "node.unknown", token, detail=text))
    record = node.to_dict()
    events = [_event(engine, run, "node.owned", token, node=record)]
    # One that gets a watchdog can be used once that lives.
    if node.state is NodeState.READY and node.access is not None and not engine.spec(node.provider).watched:
        events.append(_event(engine, run, "node.reachable", token, node=record))
    run = await engine.journal.write(*events)
    await note_account(engine, node.provider)
    return run


async def resolve(engine: Engine, run: Run, record: NodeRecord) -> Run:
    """Find out what became of a create call whose answer we do not have.

    Returns:
        The run with the node adopted, or released when nothing can appear any more, or unresolved when it should be listed
        by now and another offer may be taken, or as it was.
    """
    if (creating := engine.creating.get(record.token)) is not None:
        # The call is still under way, in this very client: its answer tells more than any listing.
        return await asyncio.shield(creating)
    timings = engine.spec(record.offer.provider).timings
    asked_at = engine.clock.now()
    age = (asked_at - record.called_at).total_seconds()
    try:
        listed = await _found(engine, record)
    except ProviderError:
        if age < timings.listing_lag + _UNASKED_SECONDS or record.token not in engine.called:
            # What another client has asked for may run already, if this journal is an older copy of what it was.
            raise
        # Nobody can say what became of it, and nobody who stops the run, or wants another offer, is held up by that.
        return await _unresolved(engine, run, record)
    if not _machines(listed) and age >= timings.listing_lag + timings.create_horizon:
        # With nothing found the row is closed for good, and a listing may be cut short: look once more.
        await engine.clock.sleep(timings.poll)
        listed = await _found(engine, record)
    if alive := _machines(listed):
        # The row first: where another follower has adopted one of them meanwhile it is refused, and nothing is given back here.
        run = await confirm(engine, run, record.token, alive[0])
        await gather_all(*(give_back_duplicate(engine, record, surplus, asked_at) for surplus in alive[1:]))
        return engine.journal.run(run.id) if alive[1:] else run
    if age < timings.listing_lag:
        return run
    if age < timings.listing_lag + timings.create_horizon:
        return await _unresolved(engine, run, record)
    await assure(engine, record.offer.provider)
    # What was made for a machine that never came (a disk, a network) costs as well.
    rests = [await released(engine, node) for node in listed]
    if any(rest.state is not NodeState.GONE for rest in rests):
        return run
    detail = f"nothing of it appeared within {timings.create_horizon:.0f} seconds"
    closing = {"detail": detail, "seen": record.stage, "unseen": unseen_seconds(engine, run, record)}
    # Another follower may have found it meanwhile, and be giving it back: its row is not ours to close.
    return await engine.journal.write(_event(engine, run, "node.released", record.token, **closing))


async def _found(engine: Engine, record: NodeRecord) -> list[Node]:
    """What its provider shows of a token, as far as it can be ours."""
    name, timings = record.offer.provider, engine.spec(record.offer.provider).timings
    listed = [node for owner in engine.journal.owners for node in await found(engine, name, owner, record.token)]
    doubles = {one.node.id for one in record.duplicates}
    listed = [node for node in listed if node.id not in doubles]
    return [node for node in listed if node.state is not NodeState.GONE and contradiction(node, record, timings) is None]


def _machines(found: list[Node]) -> list[Node]:
    return sorted((node for node in found if node.kind == "machine"), key=lambda node: node.id)


async def _unresolved(engine: Engine, run: Run, record: NodeRecord) -> Run:
    """The run goes on to another offer; the row stays open, with its price under the cap, until nothing can turn up."""
    engine.called.discard(record.token)
    message = f"what became of the create call is not known: {record.detail or 'it may never have left'}"
    error = OutcomeUnknown(message, provider=record.offer.provider)
    return await engine.journal.write(
        refusal(engine, run, record.token, record.offer, error),
        _event(engine, run, "node.unresolved", record.token, detail=message, seen=record.stage),
    )


async def _failed(engine: Engine, run: Run, token: str, offer: Offer, error: LeptonError) -> Run:
    if error.disposition is Disposition.RECONCILE:
        run = await engine.journal.write(_event(engine, run, "node.unknown", token, detail=words_of(error)))
        await note_account(engine, offer.provider)
        return run
    return await engine.journal.write(
        refusal(engine, run, token, offer, error),
        _refused(engine, run, token, words_of(error)),
    )


def _refused(engine: Engine, run: Run, token: str, detail: str, **why: object) -> Event:
    """The row that closes a create call which made nothing, as far as nobody else has decided on it meanwhile."""
    return _event(engine, run, "node.released", token, detail=detail, seen=Stage.INTENDED, **why)


def refusal(engine: Engine, run: Run, token: str | None, offer: Offer, error: LeptonError) -> Event:
    """The row for an offer that cannot be had, at once or after it was promised: what it blocks, and what comes next."""
    # What can be done about it is said where the run ends.
    advice = f"; next: {one_line(str(error.hint))}" if error.hint else ""
    wait = pause_before(run, offer.provider, error)
    attempt: dict[str, object] = {
        "number": run.attempts,
        "provider": offer.provider,
        "instance_type": offer.instance_type,
        "error": type(error).__name__,
        "message": engine.redacted(f"{words_of(error)}{advice}"),
        "blocked": "" if wait is not None else blocks(offer, error),
        "next": _next(error, wait),
    }
    if wait is not None:
        attempt["wait"] = wait
    return Event("attempt.failed", run.id, engine.clock.now(), token, attempt)


def _next(error: LeptonError, wait: float | None) -> str:
    if wait is not None:
        return f"ask {error.provider or 'it'} again in {show_duration(wait)}"
    return "next offer" if error.disposition is not Disposition.GIVE_UP else error.hint or ""


def _event(engine: Engine, run: Run, kind: str, token: str, **data: object) -> Event:
    return Event(kind, run.id, engine.clock.now(), token, data)


def _launch(engine: Engine, run: Run, token: str, offer: Offer, rank: int) -> Launch:
    async def announce(kind: str, name: str) -> None:
        await engine.journal.write(
            Event("node.announced", run.id, engine.clock.now(), token, {"kind": kind, "name": name}),
        )

    limit = run.job.limits.duration
    deadline: datetime | None = engine.clock.now() + timedelta(seconds=limit) if limit else None
    return Launch(
        owner=engine.journal.owner,
        token=token,
        run_id=run.id,
        job_name=run.job.name,
        attempt=run.attempts,
        rank=rank,
        resources=run.job.resources,
        deadline=deadline,
        announce=announce,
        startup_script=startup_script(engine, run, offer),
    )
