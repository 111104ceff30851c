"""A journal that goes back in time."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["Past"]


class Past:
    """Yesterday's backup of the journal, put in its place on some day; with it, at times, all that this host knew of it."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self._state, self._marks, self._copy = folder / "state", folder / "cache" / "journals", folder / "backup"
        self._dice = dice
        self.is_known = True
        self.happened = False

    def between_clients(self) -> bool:
        """Something may happen to the files while no client runs; whether it did."""
        if self.happened or self._dice.random() < 0.3:
            return False
        if not self._copy.exists():
            self.back_up()
            return False
        for path in self._state.glob("journal.db*"):
            path.unlink()
        shutil.copy(self._copy, self._state / "journal.db")
        self.is_known = self._dice.random() < 0.7
        if not self.is_known:
            shutil.rmtree(self._marks, ignore_errors=True)
        self.happened = True
        return True

    def back_up(self) -> None:
        """Keep the journal as it is now."""
        with closing(sqlite3.connect(self._state / "journal.db")) as source, closing(sqlite3.connect(self._copy)) as copy:
            source.backup(copy)
