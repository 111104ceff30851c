"""Appending: how one transaction writes the entries of several runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import evolve, frozen

from lepton_sdk._journal.rows import EVENT_COLUMNS, event_row, node_row, read_run, run_row
from lepton_sdk._journal.spending import Spending
from lepton_sdk._journal.store import Execute, Store
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import LeptonError

__all__ = ["Entry", "Written", "write_entries"]

_EVENT = "INSERT INTO events (seq, at, kind, run, token, data, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
_RUN = """
INSERT INTO runs (id, name, state, ended, record, checksum) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, state = excluded.state, ended = excluded.ended, record = excluded.record, checksum = excluded.checksum
"""
_NODE = """
INSERT INTO nodes (token, run, provider, stage, open, price, currency) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (token) DO UPDATE SET
    stage = excluded.stage, open = excluded.open, price = excluded.price, currency = excluded.currency
"""


@frozen
class Entry:
    """Events of one run that are written together or not at all, and the caps that they must keep.

    Attributes:
        again: an earlier try may have written them already: a connection can break during the commit.
    """

    events: tuple[AnyEvent, ...]
    caps: Caps | None = None
    again: bool = False


@frozen
class Written:
    """A run after its events, and the events with their numbers."""

    run: Run
    events: tuple[AnyEvent, ...]


def write_entries(store: Store, execute: Execute, entries: Iterable[Entry], spending: Spending) -> list[Written | LeptonError]:
    """Write entries in order inside the caller's transaction. A refused entry leaves no trace and stops no other."""
    # The checksum covers the number, so it is assigned here, under the transaction's lock.
    seq = int(execute("SELECT coalesce(max(seq), 0) FROM events")[0][0])
    answers: list[Written | LeptonError] = []
    for entry in entries:
        if entry.again and (found := _written_before(store, execute, entry.events)) is not None:
            answers.append(found)
            continue
        try:
            before, run = _applied(store, execute, entry.events)
            if entry.caps:
                _hold(execute, run, entry.caps, entry.events[-1].at, spending)
        except LeptonError as error:
            answers.append(error)
            continue
        events = tuple(evolve(event, seq=seq + number) for number, event in enumerate(entry.events, 1))
        seq += len(events)
        _insert(execute, before, run, events)
        answers.append(Written(run, events))
    return answers


def _written_before(store: Store, execute: Execute, events: Sequence[AnyEvent]) -> Written | None:
    """The events as they are in the journal, if all of them are there already."""
    wanted = [event_row(event) for event in events]
    at = sorted({row[1] for row in wanted})
    query = f"SELECT {EVENT_COLUMNS} FROM events WHERE run = ? AND at IN ({', '.join('?' for _ in at)})"  # noqa: S608 - ours
    known = {(row[1], row[2], row[4], row[5]): int(row[0]) for row in execute(query, (events[0].run, *at))}
    numbers = [known.get((row[1], row[2], row[4], row[5]), 0) for row in wanted]
    if not all(numbers):
        return None
    record = execute("SELECT id, record, checksum FROM runs WHERE id = ?", (events[0].run,))[0]
    found = (evolve(event, seq=number) for event, number in zip(events, numbers, strict=True))
    return Written(read_run(store, record), tuple(found))


def _applied(store: Store, execute: Execute, events: Sequence[AnyEvent]) -> tuple[Run | None, Run]:
    rows = execute("SELECT id, record, checksum FROM runs WHERE id = ?", (events[0].run,))
    before = run = read_run(store, rows[0]) if rows else None
    for event in events:
        run = apply(run, event)
    assert run is not None
    return before, run


def _insert(execute: Execute, before: Run | None, run: Run, events: Iterable[AnyEvent]) -> None:
    for event in events:
        execute(_EVENT, event_row(event))
    execute(_RUN, run_row(run))
    known = before.nodes if before else ()
    for node in run.nodes:
        if node not in known:
            execute(_NODE, node_row(node))


def _hold(execute: Execute, run: Run, caps: Caps, now: datetime, spending: Spending) -> None:
    """Check all machines and all runs together against the caps, with this run as it would become."""
    query = "SELECT price, currency, count(*) FROM nodes WHERE open = 1 AND run <> ? GROUP BY price, currency"
    others = [(Money(price, currency) * count if price else None) for price, currency, count in execute(query, (run.id,))]
    caps.hold_hourly(others + [node.hourly for node in run.nodes if node.open])
    if caps.total is not None:
        caps.hold_total([run, *(other for other in spending.runs(execute, now, caps.period) if other.id != run.id)], now)
