"""Claims: which follower drives a run, until when, and the number that fences older ones off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from lepton_sdk._journal.reading import Reading

__all__ = ["Claims"]

_TAKE = """
INSERT INTO claims (run, holder, epoch, until) VALUES (?, ?, ?, ?)
ON CONFLICT (run) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, until = excluded.until
"""


class Claims(Reading):
    """The rights to drive the runs of a journal."""

    def claim(self, run_id: str, holder: str, seconds: float, alive: Callable[[str], bool]) -> int | None:
        """Take the right to drive a run.

        Args:
            alive: whether a holder may still exist; a claim of one that does not is free at once.

        Returns:
            The epoch, larger than every earlier one, or ``None`` while another follower holds the run.
        """
        with self._store.transaction() as execute:
            now = self._store.now(self._clock)
            rows = execute("SELECT holder, epoch, until FROM claims WHERE run = ?", (run_id,))
            before, epoch, until = rows[0] if rows else ("", 0, None)
            if until is not None and datetime.fromisoformat(until) > now and alive(before):
                return None
            execute(_TAKE, (run_id, holder, epoch + 1, (now + timedelta(seconds=seconds)).isoformat()))
        return int(epoch) + 1

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
        """Who drives a run, and until when."""
        rows = self._store.query("SELECT holder, until FROM claims WHERE run = ?", (run_id,))
        return (str(rows[0][0]), datetime.fromisoformat(rows[0][1])) if rows else None
