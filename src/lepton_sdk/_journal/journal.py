"""The journal: one transaction writes the events and the state that they add up to. Begin with `Journal`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lepton_sdk._clock import Clock
from lepton_sdk._journal.appending import Entry, Written, write_entries
from lepton_sdk._journal.group import Group
from lepton_sdk._journal.lost import refuse_lost
from lepton_sdk._journal.mark import Mark
from lepton_sdk._journal.opening import open_store
from lepton_sdk._journal.rows import event_row
from lepton_sdk._journal.spending import Spending, rented_at
from lepton_sdk._journal.store import Execute, Place, key_of
from lepton_sdk._journal.times import Times
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import (
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalLost,
    JournalRolledBack,
    JournalUnreachable,
    JournalUnwritable,
    LeptonError,
)

__all__ = ["AWAY", "Journal"]

_ADOPT = "if the other one is gone for good, run lepton state adopt here; until then it can only be read"
# These pass by themselves. A damaged, foreign or lost journal does not come back.
AWAY = (JournalUnreachable, JournalUnwritable, JournalLocked)
# Work that has begun continues to its end, also in a file that was deleted.
_BEGINS = frozenset({"run.planned", "node.intended"})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
# A claim lasts a minute and is renewed four times within it.
_TRUSTED_SECONDS = 40.0
_NAME = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
_RENAME = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_ACCOUNT = """
INSERT INTO accounts (provider, account, at) VALUES (?, ?, ?)
ON CONFLICT (provider) DO UPDATE SET account = excluded.account, at = excluded.at
"""


class Journal(Times):
    """The record of runs and nodes in one file or database, safe for several processes.

    Args:
        place: a file, or the URL of a PostgreSQL database; created when ``writable``.
        clock: gives every entry its time.
        writable: ``False`` opens it read-only, for questions.
        marks: the folder where this host notes how far it has seen a journal; without it an older copy is not recognised.
        heir_of: owners of journals that were lost at this place; without their names no new journal replaces a lost one.

    Raises:
        JournalLost: the journal is gone, and machines of it may be billed.
        JournalError: it is damaged, of a newer version, locked, unreachable or not writable.
    """

    def __init__(
        self,
        place: Place,
        clock: Clock,
        *,
        writable: bool = True,
        marks: Path | None = None,
        heir_of: tuple[str, ...] = (),
    ) -> None:
        fresh = partial(refuse_lost, marks, place, heir_of)
        super().__init__(open_store(place, writable=writable, fresh=fresh), clock)
        self._key = key_of(place)
        # Called when an entry waits because the journal is unreachable.
        self.when_away: Callable[[JournalError], object] = lambda _: None
        self._listeners: list[Callable[[AnyEvent], None]] = []
        self._group = Group(self._commit, self._told)
        self._spending = Spending(self._store)
        self._marks = marks
        self._mark: Mark | None = None
        self._seen: tuple[int, int] | None = None
        try:
            if self._store.is_small():
                self._check_rows()
            if writable:
                self._name_owner(fresh, heir_of)
            self._read_owner()
            self._go_by_one_time(writable=writable and not self.is_foreign)
            if writable and marks is not None:
                self._hold_against(self._mark_in(marks))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Write the waiting entries, and close."""
        self._group.close()
        if self._mark is not None:
            self._mark.close()
        self._store.close()

    def listen(self, listener: Callable[[AnyEvent], None]) -> Callable[[], None]:
        """Call ``listener`` after each event that this object writes. The returned function removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- writing ---------------------------------------------------------------------------------------------------

    def append(self, *events: AnyEvent, caps: Caps | None = None) -> Run:
        """Write events of one run durably, all or none, and return the run after them.

        Args:
            caps: what everything in the journal together may cost after these events. They are checked in the same
                transaction, so that two clients cannot exceed them together.

        Raises:
            BudgetExceeded: a cap would be exceeded; nothing was written.
            ContractViolation: an event is not legal now; nothing was written.
            JournalError: the entry could not be made durable; nothing was written.
        """
        (answer,) = self._commit([Entry(events, caps)])
        if isinstance(answer, LeptonError):
            raise answer
        return self._told(answer)

    async def write(self, *events: AnyEvent, caps: Caps | None = None) -> Run:
        """`append` for coroutines: does not block the event loop, and callers that wait share a commit.

        It waits for a journal that is unreachable for a while: what has happened must be written.

        Raises:
            JournalError: waiting does not help; or the entries are written, but the journal was away for so long that the
                caller's claim may have expired, so that it must claim the run again before its next step.
        """
        entry, began, pause = Entry(events, caps), self._clock.monotonic(), _FIRST_PAUSE
        while True:
            try:
                run = self._told(await self._group.write(entry))
                break
            except AWAY as error:
                self.when_away(error)
                entry, failure = Entry(events, caps, again=True), error
            await self._clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.6)
        if entry.again and self._clock.monotonic() - began > _TRUSTED_SECONDS:
            raise failure
        return run

    def _told(self, written: Written) -> Run:
        for event in written.events:
            for listener in list(self._listeners):
                listener(event)
        return written.run

    def _commit(self, entries: list[Entry]) -> list[Written | LeptonError]:
        if not self._store.is_there() and any(event.kind in _BEGINS for entry in entries for event in entry.events):
            raise JournalLost(
                f"the journal {self.place} was removed or replaced while it was in use: nothing is begun from it any more",
                hint="lepton nodes shows what it held; put it back from a backup, or begin a new one with lepton state new",
            )
        with self._store.transaction() as execute:
            # Another database may answer at the same address by now, so ask each time.
            self._refuse_foreign()
            self._refuse_frozen(execute)
            lost = self._lost(execute)
            answers = [] if lost else write_entries(self._store, execute, entries, self._spending)
            rented = rented_at(execute) if self._mark is not None else ()
        if lost:
            self.freeze(lost)
            self.refuse_frozen()
        self._note(answers, rented)
        return answers

    def settle(self, provider: str, account: str | None) -> None:
        """Note the account of our machines at a provider from now on; ``None`` while it is unknown."""
        self._refuse_foreign()
        with self._store.transaction() as execute:
            execute(_ACCOUNT, (provider, account or "", self._clock.now().isoformat()))

    # --- whose it is -----------------------------------------------------------------------------------------------

    def _read_owner(self) -> None:
        self.owner = self._meta("owner") or ""
        former = json.loads(self._meta("former_owners") or "[]")
        self.owners = (self.owner, *former)
        self.host = self._meta("host") or ""

    def _name_owner(self, fresh: Callable[[], object], heir_of: tuple[str, ...]) -> None:
        if self._meta("owner"):
            return
        if self._store.query("SELECT 1 FROM events LIMIT 1"):
            raise self._store.corrupt("the name of its owner is gone")
        fresh()
        values = (
            ("owner", new_id(self._clock.now(), os.urandom(6))),
            ("host", self._store.home),
            ("former_owners", json.dumps(heir_of)),
        )
        with self._store.transaction() as execute:
            # Another process may have been first; its name stays.
            for value in values:
                execute(_NAME, value)

    @property
    def is_foreign(self) -> bool:
        """Whether it was created on another host or in another database: it may be a copy whose original still acts."""
        return bool(self.host) and self.host != self._store.home

    @property
    def frozen(self) -> str | None:
        """Why nothing may be created, released or started from this journal; ``None`` when it may act."""
        if self.is_foreign:
            where = f"the journal {self.place} was made on another host or database"
            return f"{where}: its original may still create and release machines"
        return self._meta("frozen")

    def freeze(self, why: str) -> None:
        """Freeze the journal: nobody creates, releases or starts anything from it until it is adopted."""
        with self._store.transaction() as execute:
            execute(_NAME, ("frozen", why))

    def adopt(self, *events: AnyEvent) -> None:
        """Make the journal this host's or database's own, under a new owner; machines of the old owner stay listed.

        Args:
            events: written in the same transaction, so that nothing acts on the journal before they are there.
        """
        values = (
            ("owner", new_id(self._clock.now(), os.urandom(6))),
            ("former_owners", json.dumps(self.owners)),
            ("host", self._store.home),
        )
        with self._store.transaction() as execute:
            for value in values:
                execute(_RENAME, value)
            execute("DELETE FROM meta WHERE name = 'frozen'")
            write_entries(self._store, execute, [Entry((event,)) for event in events], self._spending)
            newest = execute("SELECT seq, checksum FROM events ORDER BY seq DESC LIMIT 1")
            rented = rented_at(execute)
        self._read_owner()
        self._seen = None
        if self._mark is not None:
            self._mark.close()
        self._mark = self._mark_in(self._marks) if self._marks is not None else None
        if self._mark is not None and newest:
            self._seen = (int(newest[0][0]), int(newest[0][1]))
            self._mark.write(*self._seen, rented)

    def refuse_frozen(self) -> None:
        """Raise when nobody may act from this journal.

        Raises:
            JournalForeign, JournalRolledBack: with the reason, and the next step.
        """
        self._refuse_foreign()
        self._refuse_frozen(self._store.query)

    def _refuse_foreign(self) -> None:
        if self.is_foreign:
            raise JournalForeign(str(self.frozen), hint=_ADOPT)

    def _refuse_frozen(self, execute: Execute) -> None:
        if rows := execute("SELECT value FROM meta WHERE name = 'frozen'"):
            raise JournalRolledBack(str(rows[0][0]), hint=_ADOPT)

    # --- how far it has come ---------------------------------------------------------------------------------------

    def _hold_against(self, mark: Mark) -> None:
        self._mark, self._seen = mark, mark.read()
        if not self.frozen and (lost := self._lost(self._store.query)):
            self.freeze(lost)

    def _lost(self, execute: Execute) -> str | None:
        """What this host has seen in the journal and is not there any more: then the journal is an older copy."""
        if self._seen is None:
            return None
        seq, checksum = self._seen
        rows = execute("SELECT checksum FROM events WHERE seq = ?", (seq,))
        if rows and rows[0][0] == checksum:
            return None
        text = "is another one" if rows else "is missing"
        return f"the journal {self.place} is older than what was seen of it from this host: row {seq} {text}"

    def _mark_in(self, folder: Path) -> Mark:
        return Mark(folder, self.owner, self._key, self._store.home)

    def _note(self, answers: list[Written | LeptonError], rented: tuple[str, ...]) -> None:
        newest = max((answer.events[-1] for answer in answers if isinstance(answer, Written)), key=lambda e: e.seq, default=None)
        if newest is not None:
            self._seen = (newest.seq, event_row(newest)[-1])
            if self._mark is not None:
                self._mark.write(*self._seen, rented)
