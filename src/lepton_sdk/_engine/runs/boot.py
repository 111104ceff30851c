"""From a machine that is ours to one that can be used: its provider says ready, and its watchdog lives."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.inventory.leftovers import shown
from lepton_sdk._engine.launch.budget import is_spent
from lepton_sdk._engine.launch.watchdog import boot_seconds, look_at_watchdog
from lepton_sdk._engine.polling import Throttle
from lepton_sdk._engine.providers import found, inspected
from lepton_sdk._engine.runs.acquire import refusal
from lepton_sdk._engine.runs.attempts import PEER, is_judged
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import LeptonError, MarketError, NodeError, NodeLost, OfferGone

__all__ = ["ENDED", "is_missed", "look_at_boot"]

# What a provider says of a machine on which nothing runs any more.
ENDED = frozenset({NodeState.FAILED, NodeState.INTERRUPTED, NodeState.STOPPED, NodeState.GONE})


async def look_at_boot(engine: Engine, run: Run, record: NodeRecord, pace: Throttle) -> Run:
    """Look once whether the node can be used: its provider says so, and its watchdog lives if it is to have one.

    It may take as long to boot as its type is known to take. One that does not come by then is given back for the next offer,
    whatever its provider says or does not say.
    """
    node = record.node
    assert node is not None
    # A listing may tell that is as old as a poll.
    asked_at = engine.clock.now() - timedelta(seconds=engine.spec(node.provider).timings.poll)
    try:
        seen = await _seen(engine, record, node)
    except MarketError as error:
        if await _elsewhere(engine, record):
            return await _misnamed(engine, run, record, words_of(error))
        return await _withdrawn(engine, run, record, error)
    except LeptonError as error:
        if pace.elapsed("seen", record.token) is None and not _is_new(engine, record) and await _elsewhere(engine, record):
            return await _misnamed(engine, run, record, words_of(error))
        return await _in_time(engine, run, record, f"its provider does not tell: {words_of(error)}")
    if doubt := _doubt(engine, record, seen):
        return await _misnamed(engine, run, record, doubt)
    if seen.state is NodeState.GONE and pace.elapsed("seen", record.token) is None:
        await assure(engine, node.provider)
        if _is_new(engine, record) or await _elsewhere(engine, record):
            return await _misnamed(engine, run, record, f"its provider knows no {node.id}")
    pace.mark("seen", record.token)
    if seen.state is NodeState.READY and seen.access is not None:
        if (dearer := _over_limit(run, seen)) is not None:
            return await _given_up(engine, run, record, dearer, node=seen.to_dict())
        try:
            lives = await look_at_watchdog(engine, run, record, seen)
        except NodeError as error:
            return await _unusable(engine, run, record, words_of(error))
        if lives is not False:
            return await _usable(engine, run, record, seen, asked_at, armed=bool(lives))
        return await _in_time(engine, run, record, "its watchdog does not live")
    if seen.state in ENDED:
        await assure(engine, node.provider)
        return await _write(engine, run, record, "node.lost", detail=f"the provider says {seen.state} {seen.detail}")
    return await _in_time(engine, run, record, "not reachable")


async def _in_time(engine: Engine, run: Run, record: NodeRecord, missing: str) -> Run:
    """It may still come, or its time is up."""
    boot, now = boot_seconds(engine, record.offer), engine.clock.now()
    if (now - record.intended_at).total_seconds() > boot:
        return await _unusable(engine, run, record, f"{missing} {boot:.0f} seconds after it was asked for")
    if is_spent(run, record, now):
        return await _write(engine, run, record, "node.lost", reason="budget")
    return run


def _doubt(engine: Engine, record: NodeRecord, seen: Node) -> str | None:
    """Why the machine of this id cannot be the one that was asked for: an answer may name another one."""
    if seen.token is not None:
        return None if seen.token == record.token else f"{seen.id} bears the token {seen.token}"
    # Its stamp is not there, which somebody may have taken off; the time at which it was made cannot be taken off.
    nameless = evolve(seen, instance_type="", region="")
    return contradiction(nameless, record, engine.spec(seen.provider).timings)


def _is_new(engine: Engine, record: NodeRecord) -> bool:
    """Whether a listing may not show its machine yet."""
    age = (engine.clock.now() - record.intended_at).total_seconds()
    return age < engine.spec(record.offer.provider).timings.listing_lag


async def _elsewhere(engine: Engine, record: NodeRecord) -> bool:
    """Whether a machine of our token is there under another id than the answer to the create call gave."""
    try:
        listed = [
            node for owner in engine.journal.owners for node in await found(engine, record.offer.provider, owner, record.token)
        ]
    except LeptonError:
        # A sweep sees it later: what is given back as well costs more, and is never lost.
        return False
    ours = record.node.id if record.node else None
    return any(node.kind == "machine" and node.id != ours and node.state is not NodeState.GONE for node in listed)


async def _misnamed(engine: Engine, run: Run, record: NodeRecord, why: str) -> Run:
    """The id that its provider gave names nothing of ours. Our token does: it is sought, as after an answer that was lost.

    A machine that is gone is found nowhere, and its row is closed by that search.
    """
    return await _write(engine, run, record, "node.unknown", detail=why)


def _over_limit(run: Run, node: Node) -> LeptonError | None:
    """Its provider's own price for this very machine goes before what was planned, also beyond the run's limit."""
    limit = run.job.limits.hourly
    if limit is None or node.price is None or node.price.currency != limit.currency:
        return None
    hourly = node.price * run.job.nodes
    if hourly <= limit:
        return None
    text = f"{node.id} costs {hourly.display()} an hour by its provider's own word, above the limit of {limit.display()}"
    return OfferGone(text, provider=node.provider)


async def _seen(engine: Engine, record: NodeRecord, node: Node) -> Node:
    """The machine as its provider has it: of many that boot, one listing tells. No end is believed of a listing."""
    name = record.offer.provider
    if engine.is_busy and node.state is NodeState.PENDING:
        timings = engine.spec(name).timings
        listed = (await shown(engine, name, timings.poll)).get(node.id)
        if listed is not None and (listed.state is NodeState.PENDING or (listed.state is NodeState.READY and listed.access)):
            return listed
        if listed is None and (engine.clock.now() - record.intended_at).total_seconds() < timings.listing_lag:
            return node
    return await inspected(engine, node)


def is_missed(engine: Engine, record: NodeRecord) -> bool:
    """Whether the newest listing shows the machine as ended, or not at all: nothing to believe, and a reason to look at once."""
    listed = engine.listings.last(record.offer.provider)
    if listed is None or record.node is None:
        return False
    seen = listed.get(record.node.id)
    return seen is None or seen.state in ENDED


async def _withdrawn(engine: Engine, run: Run, record: NodeRecord, error: MarketError) -> Run:
    """What was promised never comes: the offer is out as if it had been refused, and what never ran has cost nothing."""
    assert record.node is not None
    free = evolve(record.node, price=record.price and Money("0", record.price.currency))
    return await _given_up(engine, run, record, error, node=free.to_dict())


async def _usable(engine: Engine, run: Run, record: NodeRecord, node: Node, there: datetime, *, armed: bool) -> Run:
    now = engine.clock.now()
    rows = [Event("node.armed", run.id, now, record.token)] if armed else []
    data = {"node": node.to_dict(), "there": there.isoformat()}
    return await engine.journal.write(*rows, Event("node.reachable", run.id, now, record.token, data))


async def _unusable(engine: Engine, run: Run, record: NodeRecord, detail: str) -> Run:
    """Nothing ever ran on the machine: it is given back, and the next offer is asked."""
    return await _given_up(engine, run, record, NodeLost(detail, provider=record.offer.provider))


async def _given_up(engine: Engine, run: Run, record: NodeRecord, error: LeptonError, **more: object) -> Run:
    lost = {"detail": words_of(error), **more}
    if is_judged(run := engine.journal.run(run.id)):
        # Another node of the attempt has said already why it failed.
        return await _write(engine, run, record, "node.lost", **lost, reason=PEER)
    return await engine.journal.write(
        refusal(engine, run, record.token, record.offer, error),
        Event("node.lost", run.id, engine.clock.now(), record.token, lost | {"seen": record.stage}),
    )


async def _write(engine: Engine, run: Run, record: NodeRecord, kind: str, **data: object) -> Run:
    # Another follower may have gone on meanwhile, and from where the row stands now the same step may be legal and wrong.
    return await engine.journal.write(Event(kind, run.id, engine.clock.now(), record.token, data | {"seen": record.stage}))
