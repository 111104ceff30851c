"""Events and runs as rows of the database, each with a checksum over its contents."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from zlib import crc32

from lepton_sdk._journal.store import Row, Store
from lepton_sdk.domain.events import AnyEvent, Event, event_of
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run

__all__ = ["EVENT_COLUMNS", "GIVEN_UP", "check_event", "event_row", "node_row", "read_event", "read_run", "run_row"]

# A run is read several times for each change, and parsing its record takes a millisecond.
_READ_OFTEN = 256
# Neither open nor closed: queries for open nodes do not find it, and its own query uses the same index.
GIVEN_UP = 2
EVENT_COLUMNS = "seq, at, kind, run, token, data, checksum"


def checksum(*parts: object) -> int:
    """A checksum over the parts as text, in order."""
    return crc32("\x1f".join("" if part is None else str(part) for part in parts).encode())


def event_row(event: Event) -> Row:
    """The columns of an event that has its number."""
    data = json.dumps(dict(event.data), separators=(",", ":"), sort_keys=True)
    row = (event.seq, event.at.isoformat(), event.kind, event.run, event.token, data)
    return (*row, checksum(*row))


def run_row(run: Run) -> Row:
    """The columns of a run: ``id, name, state, ended, record, checksum``."""
    record = json.dumps(run.to_record(), separators=(",", ":"))
    return (run.id, run.name, str(run.state), int(run.state.ended), record, checksum(run.id, record))


def node_row(node: NodeRecord) -> Row:
    """The columns of a node: ``token, run, provider, stage, open, price, currency``; a node that was given up has ``open`` 2."""
    price = node.hourly if node.open else node.price
    money = (None, None) if price is None else (str(price), price.currency)
    standing = int(node.open) or (GIVEN_UP if node.given_up_at is not None and node.released_at is None else 0)
    return (node.token, node.run, node.offer.provider, str(node.stage), standing, *money)


def read_event(store: Store, row: Row) -> AnyEvent:
    """The event of a row.

    Raises:
        JournalCorrupt: it is not what was written.
    """
    check_event(store, row)
    seq, at, kind, run, token, data, _ = row
    return event_of(kind, run, datetime.fromisoformat(at), token, json.loads(data), seq)


def check_event(store: Store, row: Row) -> None:
    """Refuse the row of an event that is not what was written.

    Raises:
        JournalCorrupt: it does not match its checksum.
    """
    *said, total = row
    if checksum(*said) != total:
        raise store.corrupt(f"row {said[0]} does not match its checksum")


def read_run(store: Store, row: Row) -> Run:
    """The run of ``id, record, checksum``.

    Raises:
        JournalCorrupt: it is not what was written.
    """
    run_id, record, total = row
    if checksum(run_id, record) != total:
        raise store.corrupt(f"the record of run {run_id} does not match its checksum")
    return _run_in(record)


@lru_cache(maxsize=_READ_OFTEN)
def _run_in(record: str) -> Run:
    return Run.from_record(json.loads(record))
