"""Queries of the journal. Nothing here writes."""

from __future__ import annotations

from lepton_sdk._clock import Clock
from lepton_sdk._journal.rows import EVENT_COLUMNS, GIVEN_UP, check_event, read_event, read_run
from lepton_sdk._journal.store import Row, Store
from lepton_sdk.domain.events import AnyEvent
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.ids import is_part_of_id
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import UsageError

__all__ = ["Reading"]

_BATCH = 5000
# A run counts as open while anything of it can cost money, also a machine that may still turn up.
_OPEN = "ended = 0 OR id IN (SELECT run FROM nodes WHERE open = 1)"


_LIST = "list the runs with lepton ps --all"
# A shorter prefix of an id is probably a mistake.
_SHORTEST = 4
# A message lists at most this many runs of one name.
_SHOWN = 5


def _one(text: str, ids: list[str], more: str) -> str:
    """The only one of these ids.

    Raises:
        UsageError: there are several.
    """
    if len(ids) > 1:
        listed = ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
        raise UsageError(f"{text!r} names several runs: {listed}", hint=f"name {more}")
    return ids[0]


class Reading:
    """Read access to a journal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @property
    def place(self) -> str:
        """Its printable location, without a password."""
        return self._store.place

    def run(self, run_id: str) -> Run:
        """The run with this full id.

        Raises:
            UsageError: there is none.
        """
        run = self._load(run_id)
        if run is None:
            raise UsageError(f"there is no run {run_id}", hint="list the runs with lepton ps --all")
        return run

    def resolve(self, text: str) -> str:
        """The id of the run that ``text`` names: an id, the name of a job, or the beginning of an id.

        If several runs have this name, the open one counts; if none is open, the newest.

        Raises:
            UsageError: none or several.
        """
        if not text.strip():
            raise UsageError(
                "a run is named by its id, its job's name or the beginning of its id; this name is empty", hint=_LIST
            )
        if self._load(text):
            return text
        if open_ones := self._ids(f"name = ? AND ({_OPEN})", text):
            return _one(text, open_ones, "it by its id")
        if named := self._ids("name = ?", text):
            return named[0]
        if len(text) >= _SHORTEST and is_part_of_id(text) and (begun := self._ids("id LIKE ?", f"{text}%")):
            return _one(text, begun, "more of the id")
        short = f"; the beginning of an id has {_SHORTEST} letters or more" if len(text) < _SHORTEST else ""
        raise UsageError(f"no run is called {text!r}{short}", hint=_LIST)

    def _ids(self, where: str, value: str) -> list[str]:
        """Ids of runs for a message, newest first."""
        query = f"SELECT id FROM runs WHERE {where} ORDER BY id DESC LIMIT {_SHOWN + 1}"  # noqa: S608 - ours
        return [str(row[0]) for row in self._store.query(query, (value,))]

    def runs(self, *, open_only: bool = False, limit: int | None = None) -> list[Run]:
        """Runs, newest first."""
        where = f"WHERE {_OPEN}" if open_only else ""
        most = "" if limit is None else f"LIMIT {int(limit)}"
        rows = self._store.query(f"SELECT id, record, checksum FROM runs {where} ORDER BY id DESC {most}")  # noqa: S608 - ours
        return [read_run(self._store, row) for row in rows]

    def runs_at(self, provider: str, *stages: Stage) -> list[Run]:
        """Runs that have a node of a provider at one of these stages."""
        nodes = f"SELECT run FROM nodes WHERE open = 1 AND provider = ? AND stage IN ({', '.join('?' for _ in stages)})"  # noqa: S608
        rows = self._store.query(f"SELECT id, record, checksum FROM runs WHERE id IN ({nodes})", (provider, *map(str, stages)))  # noqa: S608
        return [read_run(self._store, row) for row in rows]

    def given_up(self) -> list[Run]:
        """Runs that have a node which a user gave up."""
        query = "SELECT id, record, checksum FROM runs WHERE id IN (SELECT run FROM nodes WHERE open = ?)"
        return [read_run(self._store, row) for row in self._store.query(query, (GIVEN_UP,))]

    def open_runs(self) -> list[str]:
        """The ids of runs that have not ended, oldest first."""
        return [row[0] for row in self._store.query("SELECT id FROM runs WHERE ended = 0 ORDER BY id")]

    def stops(self, run_id: str) -> int:
        """How many stop requests a run has."""
        return int(self._store.query("SELECT count(*) FROM events WHERE run = ? AND kind = 'run.stop'", (run_id,))[0][0])

    def events(self, run_id: str, after: int = 0) -> list[AnyEvent]:
        """The entries of one run after number ``after``, oldest first."""
        query = f"SELECT {EVENT_COLUMNS} FROM events WHERE run = ? AND seq > ? ORDER BY seq"  # noqa: S608 - ours
        return [read_event(self._store, row) for row in self._store.query(query, (run_id, after))]

    def providers_with_open_nodes(self) -> list[str]:
        """Names of the providers where something of ours may cost money."""
        return [row[0] for row in self._store.query("SELECT DISTINCT provider FROM nodes WHERE open = 1 ORDER BY provider")]

    def open_tokens(self, provider: str) -> frozenset[str]:
        """The tokens at a provider that may cost money."""
        rows = self._store.query("SELECT token FROM nodes WHERE open = 1 AND provider = ?", (provider,))
        return frozenset(row[0] for row in rows)

    def run_of(self, token: str) -> Run | None:
        """The run of a node's token, ended or not; ``None`` for a token that was never written here."""
        rows = self._store.query(
            "SELECT id, record, checksum FROM runs WHERE id = (SELECT run FROM nodes WHERE token = ?)", (token,)
        )
        return read_run(self._store, rows[0]) if rows else None

    def knows(self, token: str) -> bool:
        """Whether a node's token was ever written here."""
        return bool(self._store.query("SELECT 1 FROM nodes WHERE token = ?", (token,)))

    def account(self, provider: str) -> str | None:
        """The account of our machines at a provider; ``None`` before there was a machine, or if the account is unknown."""
        rows = self._store.query("SELECT account FROM accounts WHERE provider = ?", (provider,))
        return str(rows[0][0]) or None if rows else None

    def verify(self) -> int:
        """Read everything and check it for checksums and consistency; return the number of events.

        Raises:
            JournalCorrupt: something is not what was written.
        """
        if (problem := self._store.fault()) is not None:
            raise self._store.corrupt(problem)
        rebuilt: dict[str, Run] = {}
        count = 0
        while rows := self._batch(after=count):
            for row in rows:
                count += 1
                event = read_event(self._store, row)
                if event.seq != count:
                    raise self._store.corrupt(f"row {count} is missing")
                rebuilt[event.run] = apply(rebuilt.get(event.run), event)
        for run in self.runs():
            if rebuilt.get(run.id) != run:
                raise self._store.corrupt(f"the record of run {run.id} is not what its events add up to")
        return count

    def _batch(self, after: int) -> list[Row]:
        query = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT {_BATCH}"  # noqa: S608 - ours
        return self._store.query(query, (after,))

    def _check_rows(self) -> None:
        if (problem := self._store.fault()) is not None:
            raise self._store.corrupt(problem)
        seen = 0
        while rows := self._batch(after=seen):
            for row in rows:
                check_event(self._store, row)
                seen = row[0]

    def _load(self, run_id: str) -> Run | None:
        rows = self._store.query("SELECT id, record, checksum FROM runs WHERE id = ?", (run_id,))
        return read_run(self._store, rows[0]) if rows else None

    def _meta(self, name: str) -> str | None:
        rows = self._store.query("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None
