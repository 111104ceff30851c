"""The journal on SQLite: one transaction writes the event and what it adds up to."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from lepton_sdk._clock import Clock
from lepton_sdk._journal.opening import connect, corrupt, translated
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.run import Event, Run, apply
from lepton_sdk.errors import BudgetExceeded, JournalForeign, UsageError

__all__ = ["Journal", "this_host"]

# A journal up to this size is read whole on opening (a few milliseconds); a larger one row by row as it is used.
_WHOLE_CHECK_BYTES = 1024 * 1024


def _checksum(*parts: object) -> int:
    return crc32("\x1f".join("" if part is None else str(part) for part in parts).encode())


class Journal:
    """The record of runs and nodes in one SQLite file, safe for several processes of one host.

    Args:
        path: the file; it is made when ``writable``.
        clock: gives every row its time.
        writable: ``False`` opens without any right to change, for questions.

    Raises:
        JournalError: the file is damaged, of a newer version, locked or cannot be written.
    """

    def __init__(self, path: Path, clock: Clock, *, writable: bool = True) -> None:
        self.path = path
        self._clock = clock
        self._listeners: list[Callable[[Event], None]] = []
        self._connection = connect(path, writable=writable)
        try:
            self._check_whole()
            if writable:
                self._name_owner()
            self._read_owner()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` after each event that this object writes; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- writing ---------------------------------------------------------------------------------------------------

    def append(self, *events: Event, hourly_cap: Money | None = None) -> Run:
        """Write events of one run durably, all or none, and give the run after them.

        Args:
            hourly_cap: what all open nodes together may cost for an hour once the events stand. It is held in the same
                transaction, so that two clients cannot both pass it.

        Raises:
            BudgetExceeded: the cap would be passed; nothing was written.
            ContractViolation: an event is not legal now; nothing was written.
            JournalError: the row could not be made durable; nothing was written.
        """
        written: list[Event] = []
        self._refuse_foreign()
        with self._transaction():
            run = self._load(events[0].run)
            for event in events:
                run = apply(run, event)
                written.append(self._insert(event))
            assert run is not None
            self._project(run)
            if hourly_cap is not None:
                self._hold(hourly_cap)
        for event in written:
            for listener in self._listeners:
                listener(event)
        return run

    def _hold(self, cap: Money) -> None:
        prices = [node.price for run in self.runs(open_only=True) for node in run.nodes if node.open]
        if None in prices:
            raise BudgetExceeded("a machine whose price nobody knows cannot be held under limits.hourly")
        hourly = sum((price for price in prices if price is not None), Money("0", cap.currency))
        if hourly > cap:
            raise BudgetExceeded(
                f"all machines together would cost {hourly.display()} an hour, above the cap of {cap.display()}",
                hint="stop a run (lepton nodes), or raise limits.hourly in the config",
            )

    def _refuse_foreign(self) -> None:
        if self.is_foreign:
            raise JournalForeign(
                f"the journal {self.path} was made on another host: its original may still create and release machines",
                hint="if that one is gone for good, run lepton state adopt here; until then it can only be read",
            )

    def _insert(self, event: Event) -> Event:
        data = json.dumps(dict(event.data), separators=(",", ":"), sort_keys=True)
        # The number is part of what the checksum covers, so it is counted here, under the transaction's lock.
        seq = self._connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM events").fetchone()[0]
        row = (seq, event.at.isoformat(), event.kind, event.run, event.token, data)
        self._connection.execute(
            "INSERT INTO events (seq, at, kind, run, token, data, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, _checksum(*row)),
        )
        return Event(event.kind, event.run, event.at, event.token, event.data, seq)

    def _project(self, run: Run) -> None:
        record = json.dumps(run.to_record(), separators=(",", ":"))
        self._connection.execute(
            "INSERT OR REPLACE INTO runs (id, name, state, ended, record, checksum) VALUES (?, ?, ?, ?, ?, ?)",
            (run.id, run.name, str(run.state), run.state.ended, record, _checksum(run.id, record)),
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO nodes (token, run, provider, stage, open) VALUES (?, ?, ?, ?, ?)",
            [(n.token, run.id, n.offer.provider, str(n.stage), n.open) for n in run.nodes],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself; the first error is the one to show.
                with suppress(sqlite3.OperationalError):
                    self._connection.execute("ROLLBACK")
                raise

    # --- reading ---------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """The run of a whole id.

        Raises:
            UsageError: there is none.
        """
        run = self._load(run_id)
        if run is None:
            raise UsageError(f"there is no run {run_id}", hint="list the runs with lepton ps --all")
        return run

    def resolve(self, text: str) -> str:
        """The id of the run that ``text`` names: an id, the end or beginning of one, or the name of the newest such job.

        Raises:
            UsageError: none or several.
        """
        with translated(self.path):
            if self._load(text):
                return text
            escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            ids = [
                row[0]
                for row in self._connection.execute(
                    "SELECT id FROM runs WHERE id LIKE ? ESCAPE '\\' OR id LIKE ? ESCAPE '\\' LIMIT 3",
                    (f"{escaped}%", f"%{escaped}"),
                )
            ]
            if len(ids) > 1:
                raise UsageError(f"{text!r} names several runs: {', '.join(ids)}…", hint="write more of the id")
            named = self._connection.execute("SELECT max(id) FROM runs WHERE name = ?", (text,)).fetchone()[0]
        if ids or named:
            return str(ids[0] if ids else named)
        raise UsageError(f"no run is called {text!r}", hint="list the runs with lepton ps --all")

    def runs(self, *, open_only: bool = False, limit: int | None = None) -> list[Run]:
        """Runs, newest first."""
        where = "WHERE ended = 0" if open_only else ""
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT id, record, checksum FROM runs {where} ORDER BY id DESC LIMIT ?",  # noqa: S608 - no input in it
                (-1 if limit is None else limit,),
            )
            return [self._decode(row) for row in rows]

    def open_runs(self) -> list[str]:
        """The ids of runs that have not ended, oldest first."""
        with translated(self.path):
            return [row[0] for row in self._connection.execute("SELECT id FROM runs WHERE ended = 0 ORDER BY id")]

    def is_stopping(self, run_id: str) -> bool:
        """Whether a run was asked to stop."""
        with translated(self.path):
            query = "SELECT 1 FROM events WHERE run = ? AND kind = 'run.stop' LIMIT 1"
            return bool(self._connection.execute(query, (run_id,)).fetchone())

    def events(self, run_id: str, after: int = 0) -> list[Event]:
        """The rows of one run behind number ``after``, oldest first."""
        with translated(self.path):
            rows = self._connection.execute(
                "SELECT seq, at, kind, run, token, data, checksum FROM events WHERE run = ? AND seq > ? ORDER BY seq",
                (run_id, after),
            )
            return [self._event(row) for row in rows]

    def providers_with_open_nodes(self) -> list[str]:
        """Names of the providers where something of ours may cost money."""
        with translated(self.path):
            rows = self._connection.execute("SELECT DISTINCT provider FROM nodes WHERE open = 1 ORDER BY provider")
            return [row[0] for row in rows]

    def knows(self, token: str) -> bool:
        """Whether a node's token was written here."""
        with translated(self.path):
            return bool(self._connection.execute("SELECT 1 FROM nodes WHERE token = ?", (token,)).fetchone())

    def _load(self, run_id: str) -> Run | None:
        with translated(self.path):
            row = self._connection.execute("SELECT id, record, checksum FROM runs WHERE id = ?", (run_id,)).fetchone()
        return self._decode(row) if row else None

    def _decode(self, row: tuple[Any, ...]) -> Run:
        if _checksum(row[0], row[1]) != row[2]:
            raise corrupt(self.path, f"the record of run {row[0]} does not match its checksum")
        return Run.from_record(json.loads(row[1]))

    def _event(self, row: tuple[Any, ...]) -> Event:
        seq, at, kind, run, token, data, checksum = row
        if _checksum(seq, at, kind, run, token, data) != checksum:
            raise corrupt(self.path, f"row {seq} does not match its checksum")
        return Event(kind, run, datetime.fromisoformat(at), token, json.loads(data), seq)

    # --- claims ----------------------------------------------------------------------------------------------------

    def claim(self, run_id: str, holder: str, seconds: float, alive: Callable[[str], bool]) -> int | None:
        """Take the right to drive a run.

        Args:
            alive: whether a holder may still exist; a claim of one that does not is free at once.

        Returns:
            The epoch, larger than every earlier one, or ``None`` while another follower holds the run.
        """
        now = self._clock.now()
        with self._transaction():
            row = self._connection.execute("SELECT holder, epoch, until FROM claims WHERE run = ?", (run_id,)).fetchone()
            if row and datetime.fromisoformat(row[2]) > now and alive(row[0]):
                return None
            epoch = (row[1] if row else 0) + 1
            self._connection.execute(
                "INSERT OR REPLACE INTO claims (run, holder, epoch, until) VALUES (?, ?, ?, ?)",
                (run_id, holder, epoch, (now + timedelta(seconds=seconds)).isoformat()),
            )
        return int(epoch)

    def renew(self, run_id: str, holder: str, epoch: int, seconds: float) -> bool:
        """Hold a claim for longer; ``False`` when somebody else has taken it."""
        until = (self._clock.now() + timedelta(seconds=seconds)).isoformat()
        with self._transaction():
            cursor = self._connection.execute(
                "UPDATE claims SET until = ? WHERE run = ? AND holder = ? AND epoch = ?",
                (until, run_id, holder, epoch),
            )
        return cursor.rowcount == 1

    def holder(self, run_id: str) -> tuple[str, datetime] | None:
        """Who drives a run, and until when."""
        with translated(self.path):
            row = self._connection.execute("SELECT holder, until FROM claims WHERE run = ?", (run_id,)).fetchone()
        return (row[0], datetime.fromisoformat(row[1])) if row else None

    # --- the whole -------------------------------------------------------------------------------------------------

    def verify(self) -> int:
        """Read everything and hold it against its checksums and against itself; the number of events.

        Raises:
            JournalCorrupt: something is not what was written.
        """
        with translated(self.path):
            problem = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise corrupt(self.path, problem)
            rows = self._connection.execute("SELECT seq, at, kind, run, token, data, checksum FROM events ORDER BY seq")
            rebuilt: dict[str, Run] = {}
            count = 0
            for count, row in enumerate(rows, 1):
                event = self._event(row)
                if event.seq != count:
                    raise corrupt(self.path, f"row {count} is missing")
                rebuilt[event.run] = apply(rebuilt.get(event.run), event)
            for run in self.runs():
                if rebuilt.get(run.id) != run:
                    raise corrupt(self.path, f"the record of run {run.id} is not what its events add up to")
        return count

    def _check_whole(self) -> None:
        with translated(self.path):
            size = self.path.stat().st_size
        if size and size <= _WHOLE_CHECK_BYTES and self._meta_exists():
            self._check_rows()

    def _check_rows(self) -> None:
        with translated(self.path):
            problem = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise corrupt(self.path, problem)
            for row in self._connection.execute("SELECT seq, at, kind, run, token, data, checksum FROM events"):
                if _checksum(*row[:6]) != row[6]:
                    raise corrupt(self.path, f"row {row[0]} does not match its checksum")

    def _meta_exists(self) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE name = 'meta'"
        return bool(self._connection.execute(query).fetchone())

    def _meta(self, name: str) -> str | None:
        with translated(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    # --- whose it is -----------------------------------------------------------------------------------------------

    def _read_owner(self) -> None:
        self.owner = self._meta("owner") or ""
        former = json.loads(self._meta("former_owners") or "[]")
        self.owners = (self.owner, *former)
        self.host = self._meta("host") or ""

    @property
    def is_foreign(self) -> bool:
        """Whether the journal was made on another host, so that it may be a copy whose original still acts."""
        return bool(self.host) and self.host != this_host()

    def adopt(self) -> None:
        """Make this host the journal's own, under a new owner; what carries the old one stays listed."""
        values = (
            ("owner", new_id(self._clock.now(), os.urandom(6))),
            ("former_owners", json.dumps(self.owners)),
            ("host", this_host()),
        )
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", values)
        self._read_owner()

    def _name_owner(self) -> None:
        if self._meta("owner"):
            return
        values = (("owner", new_id(self._clock.now(), os.urandom(6))), ("host", this_host()))
        with self._transaction():
            # Another process may have been first; its name stands.
            self._connection.executemany("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", values)


def this_host() -> str:
    """The host's own id, which a copy of a file does not bring along (machine-id(5)); its name where it has none."""
    try:
        return Path("/etc/machine-id").read_text().strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()
