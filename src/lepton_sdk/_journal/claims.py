"""Claims: which follower drives a run, until when, and the number that fences older ones off.

A claim ends by what is seen of it, and a clock alone takes none from a holder that lives on this host: somebody may set it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import frozen

from lepton_sdk._clock import Clock
from lepton_sdk._journal.reading import Reading
from lepton_sdk._journal.store import Execute, Row, Store

__all__ = ["Alive", "Claims"]

# Whether a holder may still exist, and whether it is certain that it does.
Alive = Callable[[str], bool]
_TAKE = """
INSERT INTO claims (run, holder, epoch, until) VALUES (?, ?, ?, ?)
ON CONFLICT (run) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, until = excluded.until
"""
_ASK = "SELECT holder, epoch, until FROM claims WHERE run = ?"
# The holder renews four times within one claim; two renewals that are missing are no accident.
_SILENT = 0.5


@frozen
class _Watched:
    """A claim as it was seen first, and when that was by the time that nobody sets."""

    holder: str
    until: str
    since: float


class Claims(Reading):
    """The rights to drive the runs of a journal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._watched: dict[str, _Watched] = {}

    def claim(self, run_id: str, holder: str, seconds: float, alive: Alive, here: Alive = lambda _: False) -> int | None:
        """Take the right to drive a run.

        Args:
            alive: whether a holder may still exist; a claim of one that does not is free at once.
            here: whether a holder certainly lives, as a process of this host.

        Returns:
            The epoch, larger than every earlier one, or ``None`` while another follower holds the run.
        """
        with self._store.transaction() as execute:
            self._sync(execute)
            now = self._store.now(self._clock)
            rows = execute(_ASK, (run_id,))
            if rows and rows[0][0] != holder and self._is_held(run_id, rows[0], now, seconds, alive, here):
                return None
            epoch = int(rows[0][1]) if rows else 0
            execute(_TAKE, (run_id, holder, epoch + 1, (now + timedelta(seconds=seconds)).isoformat()))
        self._watched.pop(run_id, None)
        return epoch + 1

    def _sync(self, execute: Execute) -> bool:
        """Go by the time that others of this host go by; whether there is one."""
        return False

    def is_held(self, run_id: str, seconds: float, alive: Alive, here: Alive) -> bool:
        """Whether a follower has the right to drive a run, so that `claim` would be in vain."""
        rows = self._store.query(_ASK, (run_id,))
        return bool(rows) and self._is_held(run_id, rows[0], self._store.now(self._clock), seconds, alive, here)

    def _is_held(self, run_id: str, row: Row, now: datetime, seconds: float, alive: Alive, here: Alive) -> bool:
        before, _, until = row
        # What was let go is free, whatever time stands beside it.
        if not before or not alive(before):
            return False
        quiet, left = self._quiet(run_id, before, until), (datetime.fromisoformat(until) - now).total_seconds()
        if quiet > seconds:
            # Nobody has renewed it for a whole claim: a time that lies further ahead was written by a wrong clock.
            return False
        return left > 0 or (here(before) and quiet < _SILENT * seconds)

    def _quiet(self, run_id: str, holder: str, until: str) -> float:
        """For how many seconds a claim has not been renewed while we looked."""
        now, known = self._clock.monotonic(), self._watched.get(run_id)
        if known is None or (known.holder, known.until) != (holder, until):
            known = self._watched[run_id] = _Watched(holder, until, now)
        return now - known.since

    def renew_all(self, holder: str, seconds: float) -> dict[str, int]:
        """Hold everything that ``holder`` has for longer: one statement, however many runs; each with its epoch."""
        with self._store.transaction() as execute:
            until = (self._store.now(self._clock) + timedelta(seconds=seconds)).isoformat()
            return dict(execute("UPDATE claims SET until = ? WHERE holder = ? RETURNING run, epoch", (until, holder)))

    def let_go(self, run_id: str, holder: str, epoch: int) -> None:
        """End a claim, if it is still ours: it is free at once."""
        with self._store.transaction() as execute:
            now = self._store.now(self._clock).isoformat()
            statement = "UPDATE claims SET holder = '', until = ? WHERE run = ? AND holder = ? AND epoch = ?"
            execute(statement, (now, run_id, holder, epoch))

    def holder(self, run_id: str) -> tuple[str, datetime] | None:
        """Who drives a run, and until when; an empty name for nobody any more."""
        rows = self._store.query("SELECT holder, until FROM claims WHERE run = ?", (run_id,))
        return (str(rows[0][0]), datetime.fromisoformat(rows[0][1])) if rows else None

    def may_act(self, run_id: str, holder: str) -> bool:
        """Whether the claim on a run is its holder's and has time left; where nobody ever claimed it, anybody may."""
        found = self.holder(run_id)
        return found is None or (found[0] == holder and found[1] > self._store.now(self._clock))
