"""A disk that keeps what it was told to force out, and may forget all else when its host crashes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from lepton_sdk._journal import Journal

__all__ = ["Disk"]

# SQLite's name for a commit that is on the disk before it is acknowledged (PRAGMA synchronous).
_FULL = 2


class Disk:
    """The journal's files as they would be found after a power loss.

    A journal in WAL mode forces its log to the disk at every commit with ``synchronous=FULL``, and only now and then without it:
    then a power loss takes the commits since. What the journal's connections say of themselves decides.
    """

    def __init__(self, folder: Path) -> None:
        self._state, self._marks, self._kept = folder / "state", folder / "cache" / "journals", folder / "durable"

    def before_commit(self, journal: Journal) -> None:
        """A commit is about to be acknowledged; unless it is forced out, the disk stays where it is."""
        connection = journal._store._writer or journal._store._reader  # type: ignore[attr-defined]
        if connection.execute("PRAGMA synchronous").fetchone()[0] < _FULL and not self._kept.exists():
            shutil.copytree(self._state, self._kept)

    def crash(self, dice: random.Random) -> None:
        """The host loses its power while no client has a file open any more."""
        if self._kept.exists():
            for path in self._state.glob("journal.db*"):
                path.unlink()
            for path in self._kept.glob("journal.db*"):
                shutil.copy(path, self._state / path.name)
            shutil.rmtree(self._kept)
        if dice.random() < 0.5:
            # The mark is never forced out.
            shutil.rmtree(self._marks, ignore_errors=True)
