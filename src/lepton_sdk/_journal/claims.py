"""Claims: which follower drives a run, until when, and the epoch that fences off older followers.

A claim ends when no renewal is seen. A clock alone never ends the claim of a process that lives on this host: clocks can be set.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import frozen

from lepton_sdk._clock import Clock
from lepton_sdk._journal.reading import Reading
from lepton_sdk._journal.store import Execute, Row, Store

__all__ = ["Alive", "Claims"]

# Whether a holder may still exist, and whether it certainly does.
Alive = Callable[[str], bool]
_TAKE = """
INSERT INTO claims (run, holder, epoch, until) VALUES (?, ?, ?, ?)
ON CONFLICT (run) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, until = excluded.until
"""
_ASK = "SELECT holder, epoch, until FROM claims WHERE run = ?"
# The holder renews four times within one claim; two missing renewals are no accident.
_SILENT = 0.5


@frozen
class _Watched:
    """A claim as it was first seen, and when that was on the monotonic clock."""

    holder: str
    until: str
    since: float


class Claims(Reading):
    """The claims on a journal's runs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._watched: dict[str, _Watched] = {}

    def claim(self, run_id: str, holder: str, seconds: float, alive: Alive, here: Alive = lambda _: False) -> int | None:
        """Take the right to drive a run.

        Args:
            alive: whether a holder may still exist. The claim of a dead holder is free at once.
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
        """Use the time that the other processes of this host use; return whether there is one."""
        return False

    def is_held(self, run_id: str, seconds: float, alive: Alive, here: Alive) -> bool:
        """Whether a follower holds the claim on a run, so that `claim` would fail."""
        rows = self._store.query(_ASK, (run_id,))
        return bool(rows) and self._is_held(run_id, rows[0], self._store.now(self._clock), seconds, alive, here)

    def _is_held(self, run_id: str, row: Row, now: datetime, seconds: float, alive: Alive, here: Alive) -> bool:
        before, _, until = row
        # A released claim is free, whatever its time limit says.
        if not before or not alive(before):
            return False
        quiet, left = self._quiet(run_id, before, until), (datetime.fromisoformat(until) - now).total_seconds()
        if quiet > seconds:
            # Nobody has renewed it for a whole claim: a time limit further ahead was written by a wrong clock.
            return False
        return left > 0 or (here(before) and quiet < _SILENT * seconds)

    def _quiet(self, run_id: str, holder: str, until: str) -> float:
        """For how many seconds we have seen no renewal of a claim."""
        now, known = self._clock.monotonic(), self._watched.get(run_id)
        if known is None or (known.holder, known.until) != (holder, until):
            known = self._watched[run_id] = _Watched(holder, until, now)
        return now - known.since

    def renew_all(self, holder: str, seconds: float) -> dict[str, int]:
        """Renew all claims of ``holder`` in one statement, however many runs; return each run's epoch."""
        with self._store.transaction() as execute:
            until = (self._store.now(self._clock) + timedelta(seconds=seconds)).isoformat()
            return dict(execute("UPDATE claims SET until = ? WHERE holder = ? RETURNING run, epoch", (until, holder)))

    def let_go(self, run_id: str, holder: str, epoch: int) -> None:
        """Release a claim, if it is still ours: it is free at once."""
        with self._store.transaction() as execute:
            now = self._store.now(self._clock).isoformat()
            statement = "UPDATE claims SET holder = '', until = ? WHERE run = ? AND holder = ? AND epoch = ?"
            execute(statement, (now, run_id, holder, epoch))

    def holder(self, run_id: str) -> tuple[str, datetime] | None:
        """Who drives a run, and until when; an empty name if nobody does any more."""
        rows = self._store.query("SELECT holder, until FROM claims WHERE run = ?", (run_id,))
        return (str(rows[0][0]), datetime.fromisoformat(rows[0][1])) if rows else None

    def may_act(self, run_id: str, holder: str) -> bool:
        """Whether this holder has the claim on a run and time left. Anybody may drive a run that was never claimed."""
        found = self.holder(run_id)
        return found is None or (found[0] == holder and found[1] > self._store.now(self._clock))
