"""Wait for a machine of ours until it can be used. Begin with `check_boot`, which asks once.

A machine can be used when its provider says ready and its watchdog, if it gets one, lives. The checks before that catch a wrong
id, a price above the limit, and a machine that has ended. A machine that does not come in time is given back, and the run takes
the next offer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.inventory.leftovers import shown
from lepton_sdk._engine.launch.budget import is_spent
from lepton_sdk._engine.launch.watchdog import boot_seconds, check_watchdog
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.providers import found_of, inspected
from lepton_sdk._engine.runs.attempts import PEER, is_explained, refusal
from lepton_sdk.domain.events import AnyEvent, NodeAdmitted, NodeArmed, NodeLost, NodeQueued, NodeReachable, NodeUnknown
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import LeptonError, MarketError, NoCapacity, NodeError, OfferGone
from lepton_sdk.errors import NodeLost as Lost

__all__ = ["ENDED", "check_boot", "is_missed"]

# The provider's states for a machine on which nothing runs any more.
ENDED = frozenset({NodeState.FAILED, NodeState.INTERRUPTED, NodeState.STOPPED, NodeState.GONE})


async def check_boot(member: Member) -> Run:
    """Ask once whether the node can be used: its provider says so, and its watchdog lives if it gets one.

    It may boot for as long as its type is known to take. It may be queued for as long as the job's own retry rule allows. After
    that it is given back and the next offer is asked, whatever its provider says or does not say.
    """
    node, record, engine = member.node, member.record, member.engine
    # The answer may come from a listing that is one poll interval old.
    there = member.now() - timedelta(seconds=member.spec.timings.poll)
    try:
        seen = await _seen(member)
    except MarketError as error:
        if await _elsewhere(member):
            return await _misnamed(member, words_of(error))
        return await _withdrawn(member, error)
    except LeptonError as error:
        if member.elapsed("seen") is None and not _is_new(member) and await _elsewhere(member):
            return await _misnamed(member, words_of(error))
        return await _in_time(member, f"its provider does not tell: {words_of(error)}")
    if doubt := _doubt(member, seen):
        return await _misnamed(member, doubt)
    if seen.state is NodeState.GONE and member.elapsed("seen") is None:
        await assure(engine, node.provider)
        if _is_new(member) or await _elsewhere(member):
            return await _misnamed(member, f"its provider knows no {node.id}")
    member.mark("seen")
    if seen.state is NodeState.QUEUED:
        return await _queued(member, seen)
    if record.queued and seen.state is not NodeState.UNKNOWN:
        member = member.in_run(await member.write(NodeAdmitted()))
    if seen.state is NodeState.READY and seen.access is not None:
        return await _ready(member, seen, there)
    if seen.state in ENDED:
        await assure(engine, node.provider)
        return await member.step(NodeLost(f"the provider says {seen.state} {seen.detail}"))
    return await _in_time(member, "not reachable")


async def _ready(member: Member, seen: Node, there: datetime) -> Run:
    """The provider says that the machine can be used: check its price and its watchdog."""
    if (dearer := _over_limit(member.run, seen)) is not None:
        return await _given_up(member, dearer, seen)
    try:
        lives = await check_watchdog(member, seen)
    except NodeError as error:
        return await _unusable(member, words_of(error))
    if lives is False:
        return await _in_time(member, "its watchdog does not live")
    before: list[AnyEvent] = [NodeArmed()] if lives else []
    return await member.write(*before, NodeReachable(seen, there=there))


async def _queued(member: Member, seen: Node) -> Run:
    """The provider has accepted the machine and not begun it. That is no boot: the job's own retry rule bounds it."""
    record, run = member.record, member.run
    if (tired := _out_of_patience(member, seen.detail)) is not None:
        return await _given_up(member, tired)
    reason = seen.detail or "queued"
    if not record.queued or (reason != record.queued and member.due("queued", member.engine.timing.sweep)):
        return await member.write(NodeQueued(reason))
    return run


def _out_of_patience(member: Member, detail: str) -> LeptonError | None:
    """Why a queued machine is not waited for any longer; ``None`` while the job still has patience."""
    patience, waited = member.run.job.retry.no_capacity.duration, (member.now() - member.run.created_at).total_seconds()
    if patience is None or waited <= patience:
        return None
    text = f"it was still queued {show_duration(round(waited))} after the run was planned"
    return NoCapacity(f"{text}: {detail}" if detail else text, provider=member.provider_name)


async def _in_time(member: Member, missing: str) -> Run:
    """Keep waiting, or give the machine back if its time is up."""
    record, now = member.record, member.now()
    boot = boot_seconds(member.engine, record.offer)
    if record.queued and (tired := _out_of_patience(member, record.queued)) is not None:
        return await _given_up(member, tired)
    if not record.queued and (now - record.boots_since).total_seconds() > boot:
        return await _unusable(member, f"{missing} {boot:.0f} seconds after it was asked for")
    if is_spent(member.run, record, now):
        return await member.step(NodeLost(reason="budget"))
    return member.run


def _doubt(member: Member, seen: Node) -> str | None:
    """Why the machine with this id cannot be the one we asked for; ``None`` if it can. The provider may have named a wrong id."""
    if seen.token is not None:
        return None if seen.token == member.token else f"{seen.id} bears the token {seen.token}"
    # Our tag is missing; somebody may have removed it. Nobody can remove the time when the machine was made.
    nameless = evolve(seen, instance_type="", region="")
    return contradiction(nameless, member.record, member.spec.timings)


def _is_new(member: Member) -> bool:
    """Return True if a listing may not show the machine yet."""
    return (member.now() - member.record.intended_at).total_seconds() < member.spec.timings.listing_lag


async def _elsewhere(member: Member) -> bool:
    """Return True if a machine with our token has another id than the answer to the create call gave."""
    try:
        listed = await found_of(member.engine, member.record)
    except LeptonError:
        # A sweep finds such a machine later. It then costs more, but it is never lost.
        return False
    return any(node.kind == "machine" and node.id != member.node.id and node.state is not NodeState.GONE for node in listed)


async def _misnamed(member: Member, why: str) -> Run:
    """The provider's id names nothing of ours, but our token does. So search for the token, as after a lost answer.

    If the machine is gone, that search finds nothing and closes the entry.
    """
    return await member.step(NodeUnknown(why))


def _over_limit(run: Run, node: Node) -> LeptonError | None:
    """The error if the provider's own price for this machine is above the run's limit. That price replaces the planned one."""
    limit = run.job.limits.hourly
    if limit is None or node.price is None or node.price.currency != limit.currency:
        return None
    hourly = node.price * run.job.nodes
    if hourly <= limit:
        return None
    text = f"{node.id} costs {hourly.display()} an hour by its provider's own word, above the limit of {limit.display()}"
    return OfferGone(text, provider=node.provider)


async def _seen(member: Member) -> Node:
    """The machine's state at its provider. If many machines boot, one listing answers for all.

    A listing is never enough to believe that a machine has ended: then the machine itself is inspected.
    """
    engine, node, name = member.engine, member.node, member.provider_name
    if engine.is_busy and node.state in (NodeState.PENDING, NodeState.QUEUED):
        listed = (await shown(engine, name, member.spec.timings.poll)).get(node.id)
        if listed is not None and _is_on_its_way(listed):
            return listed
        if listed is None and _is_new(member):
            return node
    return await inspected(engine, node)


def _is_on_its_way(listed: Node) -> bool:
    if listed.state in (NodeState.PENDING, NodeState.QUEUED):
        return True
    return listed.state is NodeState.READY and listed.access is not None


def is_missed(engine: Engine, record: NodeRecord) -> bool:
    """Return True if the newest listing shows the machine as ended, or not at all. That proves nothing: poll the node at once."""
    listed = engine.listings.last(record.offer.provider)
    if listed is None or record.node is None:
        return False
    seen = listed.get(record.node.id)
    return seen is None or seen.state in ENDED


async def _withdrawn(member: Member, error: MarketError) -> Run:
    """The promised machine never comes. The offer counts as refused, and a machine that never ran has cost nothing."""
    node = member.node
    return await _given_up(member, error, evolve(node, price=node.price and Money("0", node.price.currency)))


async def _unusable(member: Member, detail: str) -> Run:
    """Nothing ever ran on the machine: give it back and ask the next offer."""
    return await _given_up(member, Lost(detail, provider=member.provider_name))


async def _given_up(member: Member, error: LeptonError, node: Node | None = None) -> Run:
    member, stage = member.again(), member.record.stage
    if is_explained(member.run):
        # Another node of the attempt has already said why the attempt failed.
        return await member.write(NodeLost(words_of(error), node=node, reason=PEER, seen=stage))
    row = refusal(member.run, member.record.offer, error, member.engine.redacted)
    return await member.write(row, NodeLost(words_of(error), node=node, seen=stage))
