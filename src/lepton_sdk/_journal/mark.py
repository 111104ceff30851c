"""The mark: how far this host has seen a journal, kept apart from it, so that an older copy of it is known for what it is.

It lies in the cache folder, which a restored backup of the state folder leaves alone. It is never ahead of the journal: it is
written after the commit, and without being forced to the disk.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

__all__ = ["Mark"]


class Mark:
    """The newest row that was seen, by its number and checksum.

    Args:
        folder: where marks lie, a file for each owner.
        owner: whose journal it is.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._path = folder / f"{owner}.seen"

    def read(self) -> tuple[int, int] | None:
        """Number and checksum of the newest row that was seen here; ``None`` when that is not known."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(self._path.read_text())
            return int(data["seq"]), int(data["checksum"])
        return None

    def write(self, seq: int, checksum: int) -> None:
        """Note a row. A cache that cannot be written costs the proof, not the work."""
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps({"seq": seq, "checksum": checksum}))
            part.replace(self._path)
