"""Compare the journal with what providers list: adopt, release or show each difference. Begin with `reconcile`."""

from __future__ import annotations

import asyncio
from datetime import datetime

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.follow import catch_up
from lepton_sdk._engine.inventory.duplicates import give_back_duplicate
from lepton_sdk._engine.inventory.give_up import give_up as give_up_node
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.inventory.leftovers import listing, sweep
from lepton_sdk._engine.inventory.lost_journals import lost_lines, other_lines, refuse_silence, settle_marks, trouble
from lepton_sdk._engine.inventory.report import (
    Difference,
    HeldNode,
    Report,
    child_line,
    duplicate_lines,
    given_up_lines,
    held,
    node_line,
    record_line,
)
from lepton_sdk._engine.providers import found, inspected, released
from lepton_sdk._journal import lost_at
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.errors import JournalCorrupt, LeptonError

__all__ = ["Difference", "HeldNode", "Report", "held", "nodes", "reconcile"]

_SHOWN = "shown; release it with lepton reconcile --release-strays"


async def reconcile(
    engine: Engine, *, release_strays: bool = False, all_owners: bool = False, give_up: str | None = None
) -> Report:
    """Take the steps that are due, then list providers and compare.

    Args:
        give_up: a node whose entry is closed first, without its provider's word.
        release_strays: also give back what carries our owner and belongs to no open entry.
        all_owners: also show the machines of other owners.
    """
    why = trouble(engine)
    if give_up is not None:
        if why is not None:
            raise why
        await give_up_node(engine, give_up)
    if why is not None:
        refuse_silence(engine, why)
        report = Report((), ())
    else:
        report = await _held_against(engine, release_strays=release_strays, all_owners=all_owners)
    lost, unasked = await lost_lines(engine, release=release_strays)
    others = [*lost, *await other_lines(engine)]
    told = {line.id for line in others}
    ours = [line for line in report.nodes if line.difference is not Difference.OTHER or line.id not in told]
    return Report((*ours, *others), (*report.unasked, *unasked))


async def nodes(engine: Engine) -> list[HeldNode]:
    """Everything that is open in the journal, and what is still billed of a journal that was lost here."""
    why, lines = trouble(engine), []
    try:
        if why is None and engine.has_journal():
            await catch_up(engine)
            lines = held(engine)
    except JournalCorrupt as error:
        why = error
        engine.close_journal()
    if why is not None:
        refuse_silence(engine, why)
    lost, unasked = await lost_lines(engine)
    for name, message in unasked:
        engine.say(f"{name} could not be asked: {message}")
    return lines + lost


async def _held_against(engine: Engine, *, release_strays: bool, all_owners: bool) -> Report:
    await catch_up(engine)
    usable = {name for name, state in engine.standing().items() if state.usable}
    names = sorted(usable.union(engine.journal.providers_with_open_nodes()))
    asked_at = engine.clock.now()
    answers = await asyncio.gather(*(_list(engine, name, all_owners=all_owners) for name in names))
    # The providers were listed before the journal is read: an entry written in between can only explain more, never less.
    lines: list[HeldNode] = []
    unasked: list[tuple[str, str]] = []
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, LeptonError):
            unasked.append((name, str(answer)))
            lines.extend(_out_of_reach(engine, name, answer))
            continue
        if not engine.journal.frozen:
            try:
                await sweep(engine, name, answer, asked_at)
            except LeptonError as error:
                unasked.append((name, str(error)))
        lines.extend(await _compare(engine, name, answer, asked_at, release_strays=release_strays))
    if not unasked:
        listed = {node.owner or "" for answer in answers if not isinstance(answer, LeptonError) for node in answer}
        former = lost_at(engine.marks, engine.journal_place, {engine.journal.owner, *listed})
        settle_marks(engine, [one for one in former if one.owner in engine.journal.owners and set(one.rented) <= {*names}])
    return Report((*lines, *given_up_lines(engine, engine.clock.now())), tuple(unasked))


async def _list(engine: Engine, name: str, *, all_owners: bool) -> list[Node] | LeptonError:
    try:
        async with asyncio.timeout(engine.timing.reconcile):
            ours = await listing(engine, name)
            if not all_owners:
                return ours
            shown = {node.id for node in ours}
            return ours + [node for node in await found(engine, name, "*") if node.id not in shown]
    except LeptonError as error:
        return error
    except Exception as error:
        return LeptonError(f"{type(error).__name__}: {error}", provider=name, hint=f"lepton doctor {name}")


def _out_of_reach(engine: Engine, name: str, error: LeptonError) -> list[HeldNode]:
    """The lines of a provider that cannot be asked: its open nodes go on costing money."""
    now, action = engine.clock.now(), f"out of reach: {error.message}; next: {error.hint or f'lepton doctor {name}'}"
    lines = [record_line(record, now, Difference.MISSING, action) for record in _open_records(engine, name).values()]
    return lines + _unlisted_duplicates(engine, name, set())


def _open_records(engine: Engine, name: str) -> dict[str, NodeRecord]:
    return {
        record.token: record
        for run in engine.journal.runs(open_only=True)
        for record in run.nodes
        if record.held and record.offer.provider == name
    }


async def _compare(engine: Engine, name: str, nodes: list[Node], asked_at: datetime, *, release_strays: bool) -> list[HeldNode]:
    now, records = engine.clock.now(), _open_records(engine, name)
    lines: list[HeldNode] = []
    listed: set[str] = set()
    for node in nodes:
        if node.state is NodeState.GONE:
            continue
        record = records.get(node.token or "")
        if record is not None and record.node is not None and record.node.id == node.id:
            listed.add(record.token)
            lines.append(record_line(record, now))
        elif record is not None and node.kind != "machine":
            # A disk or a network of a machine that is held goes with that machine.
            lines.append(child_line(node, record, now))
        elif record is not None and record.node is None and _fits(engine, node, record):
            # Found, and not adopted yet: its follower does that.
            listed.add(record.token)
            lines.append(record_line(record, now))
        elif node.owner is None:
            lines.append(node_line(node, now, Difference.UNMARKED, "shown: it bears our key, and no tag that says whose it is"))
        elif node.owner not in engine.journal.owners and node.id not in {r.node.id for r in records.values() if r.node}:
            lines.append(node_line(node, now, Difference.OTHER, "shown; it is not ours"))
        else:
            lines.append(await _surplus(engine, node, asked_at, release_strays=release_strays))
    for token, record in records.items():
        if token not in listed:
            lines.append(await _unlisted(engine, record, now))
    return lines + _unlisted_duplicates(engine, name, {node.id for node in nodes})


def _unlisted_duplicates(engine: Engine, name: str, shown: set[str]) -> list[HeldNode]:
    """Duplicates that are being given back and are in no listing. They cost money until their provider says they are gone."""
    records = [n for run in engine.journal.runs(open_only=True) for n in run.nodes if n.offer.provider == name]
    now = engine.clock.now()
    return [line for record in records for line in duplicate_lines(record, now) if line.id not in shown]


def _fits(engine: Engine, node: Node, record: NodeRecord) -> bool:
    return contradiction(node, record, engine.spec(node.provider).timings) is None


async def _unlisted(engine: Engine, record: NodeRecord, now: datetime) -> HeldNode:
    """A node that the listing does not show: another page, a listing that lags, or tags that somebody has removed."""
    if record.node is None:
        return record_line(record, now, None if record.late else Difference.MISSING)
    try:
        seen = await inspected(engine, record.node)
    except LeptonError as error:
        return record_line(record, now, Difference.MISSING, f"could not be asked: {error.message}")
    if seen.state in {NodeState.GONE, NodeState.UNKNOWN}:
        return record_line(record, now, Difference.MISSING, "not listed; counted as costing until its run has released it")
    return record_line(
        record, now, Difference.UNMARKED, f"{seen.state} under its id, without our tags; it is released with its run"
    )


async def _surplus(engine: Engine, node: Node, asked_at: datetime, *, release_strays: bool) -> HeldNode:
    """A machine that belongs to no open entry. It is released if its token is ours and it fits; all others are shown."""
    difference, doubt = _standing(engine, node)
    now = engine.clock.now()
    action = f"{doubt}: perhaps a copy; {_SHOWN}" if doubt else _SHOWN
    if why := engine.journal.frozen:
        action = f"shown; nothing is released: {why}"
    elif release_strays or _released_unasked(difference):
        record = _record_of(engine, node) if difference is Difference.DUPLICATE else None
        node, action = await _given_back(engine, node, record, asked_at)
    return node_line(node, now, difference, action)


def _standing(engine: Engine, node: Node) -> tuple[Difference, str | None]:
    record = _record_of(engine, node)
    if record is None:
        return Difference.STRAY, None
    doubt = contradiction(node, record, engine.spec(node.provider).timings)
    return (Difference.DOUBTFUL if doubt else Difference.DUPLICATE), doubt


def _record_of(engine: Engine, node: Node) -> NodeRecord | None:
    run = engine.journal.run_of(node.token) if node.token else None
    return None if run is None else next(record for record in run.nodes if record.token == node.token)


def _released_unasked(difference: Difference) -> bool:
    return difference is Difference.DUPLICATE


async def _given_back(engine: Engine, node: Node, record: NodeRecord | None, asked_at: datetime) -> tuple[Node, str]:
    """Give a machine back; ``record`` is the node of which it is a duplicate."""
    try:
        # A machine that the node itself had, and that is there again, is already in the node's cost.
        if record is not None and (record.node is None or record.node.id != node.id):
            node = await give_back_duplicate(engine, record, node, asked_at)
        else:
            node = await released(engine, node)
    except LeptonError as error:
        return node, f"release failed: {error.message}"
    return node, "released" if node.state is NodeState.GONE else "being released"
