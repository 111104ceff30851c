"""The mark: how far this host has seen a journal, kept apart from it, so that an older copy of it is known for what it is.

It lies in the cache folder, which a restored backup of the state folder leaves alone. It is never ahead of the journal: it is
written after the commit, and without being forced to the disk.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Mark"]

_LENGTH = 40


class Mark:
    """The newest row that was seen, by its number and checksum.

    Args:
        folder: where marks lie, a file for each owner.
        owner: whose journal it is.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._path = folder / f"{owner}.seen"
        self._file: int | None = None

    def read(self) -> tuple[int, int] | None:
        """Number and checksum of the newest row that was seen here; ``None`` when that is not known."""
        with suppress(OSError, ValueError):
            seq, checksum = self._path.read_text().split()
            return int(seq), int(checksum)
        return None

    def write(self, seq: int, checksum: int) -> None:
        """Note a row. A cache that cannot be written costs the proof, not the work."""
        with suppress(OSError):
            if self._file is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # In place and of one length: a file that replaces another is forced to the disk by some filesystems.
            os.pwrite(self._file, f"{seq} {checksum}".ljust(_LENGTH).encode(), 0)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
