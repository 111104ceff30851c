"""The mark: how far this host has seen a journal. It is kept apart from the journal, so that an older copy is recognised.

It lies in the cache folder, which restoring a backup of the state folder does not change. It is never ahead of the journal: it
is written after the commit, and not forced to the disk. It also says where the journal is and at which providers it had rented
machines, so that a lost journal is noticed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

__all__ = ["Mark", "Noted", "noted_in"]

_LENGTH = 40
# Written in place, in a few sizes: some filesystems force a replaced file to the disk.
_BLOCK = 512


@frozen
class Noted:
    """What a mark says about its journal.

    Attributes:
        place: the journal's printable location; ``""`` in a mark of an older version.
        home: the host or database that the journal lies on.
        rented: the providers that billed something of it when the mark was written.
        at: when it was written.
    """

    owner: str
    place: str
    home: str
    rented: tuple[str, ...]
    at: datetime


class Mark:
    """The newest entry that this host has seen, by number and checksum.

    Args:
        folder: where marks lie, a file for each owner.
        owner: the journal's owner.
        place: where the journal is.
        home: the host or database that the journal lies on.
    """

    def __init__(self, folder: Path, owner: str, place: str = "", home: str = "") -> None:
        self._path = folder / f"{owner}.seen"
        self._where = {"place": place, "home": home}
        self._file: int | None = None

    def read(self) -> tuple[int, int] | None:
        """Number and checksum of the newest entry that this host has seen; ``None`` if unknown."""
        with suppress(OSError, ValueError):
            seq, checksum = self._path.read_bytes()[:_LENGTH].split()
            return int(seq), int(checksum)
        return None

    def write(self, seq: int, checksum: int, rented: tuple[str, ...] = ()) -> None:
        """Note an entry, unless another process has noted a newer one.

        If the cache cannot be written, only this proof is lost, and the work continues.
        """
        with suppress(OSError):
            if self._file is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                if _number(os.pread(self._file, _LENGTH, 0)) <= seq:
                    _put(self._file, f"{seq} {checksum}", self._where | {"rented": list(rented)})
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def settle(self) -> None:
        """Note that the journal has no rented machine any more."""
        with suppress(OSError, ValueError):
            line, _, rest = self._path.read_bytes().partition(b"\n")
            file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            try:
                _put(file, line.decode().strip(), json.loads(rest) | {"rented": []})
            finally:
                os.close(file)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _number(line: bytes) -> int:
    try:
        return int(line.split()[0])
    except (ValueError, IndexError):
        return 0


def _put(file: int, line: str, where: dict[str, object]) -> None:
    raw = line.ljust(_LENGTH).encode() + b"\n" + json.dumps(where).encode()
    raw = raw.ljust(-(-len(raw) // _BLOCK) * _BLOCK)
    os.pwrite(file, raw, 0)
    if os.fstat(file).st_size != len(raw):
        os.ftruncate(file, len(raw))


def noted_in(folder: Path) -> Iterator[Noted]:
    """The contents of each mark in a folder, the newest first; unreadable marks are skipped."""
    found = []
    for path in folder.glob("*.seen"):
        with suppress(OSError, ValueError, TypeError, AttributeError):
            _, _, rest = path.read_bytes().partition(b"\n")
            said = json.loads(rest) if rest.strip() else {}
            rented = tuple(str(name) for name in said.get("rented", ()))
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            found.append(Noted(path.stem, str(said.get("place", "")), str(said.get("home", "")), rented, at))
    yield from sorted(found, key=lambda one: one.at, reverse=True)
