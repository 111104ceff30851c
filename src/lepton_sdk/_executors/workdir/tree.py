"""A workdir as names, each with what stands there; two of them are compared in a moment."""

# Ten thousand files should take a fraction of a second, so paths and descriptions stay text.
# ruff: noqa: PTH115

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from io import FileIO
from pathlib import Path

from attrs import field, frozen

from lepton_sdk._executors.workdir.walk import unreadable, walk_workdir

__all__ = ["EMPTY", "FILE", "FOLDER", "LINK", "Changed", "Tree", "opened", "read_tree"]

_BLOCK = 1 << 18
# What stands at a name: ``d755`` a folder, ``lTARGET`` a link, ``e644`` an empty file, ``fHASH-644`` a file. A content has
# the mode in its name because a mode belongs to an inode. Empty files are common and have no content to share.
FOLDER, LINK, EMPTY, FILE = "d", "l", "e", "f"
# The clocks of file systems tick a few times in a hundredth of a second; those that count whole seconds, every other one.
_TICK, _COARSE_TICK = 100_000_000, 2_000_000_000
_SECOND = 1_000_000_000


class Changed(Exception):
    """A file is not what it was a moment ago."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@frozen(slots=False)
class Tree:
    """What a run gets.

    Attributes:
        entries: what stands at each name; each folder before what is in it.
        stamps: what the file system said of the files, where that proves later on that a content is the same.
        sizes: bytes of each content that was met.
        root: the folder that was read, for whoever reads contents again.
    """

    entries: Mapping[str, str]
    stamps: Mapping[str, str] = field(factory=dict, repr=False)
    sizes: Mapping[str, int] = field(factory=dict, repr=False)
    root: str = ""

    @cached_property
    def id(self) -> str:
        """The name of the whole: trees with one name are equal."""
        text = "".join(f"{name}\0{what}\0" for name, what in sorted(self.entries.items()))
        return sha256(text.encode(errors="surrogateescape")).hexdigest()

    @cached_property
    def contents(self) -> dict[str, str]:
        """Each content, and the first name at which it stands."""
        found: dict[str, str] = {}
        for name, what in self.entries.items():
            if what[0] == FILE:
                found.setdefault(what[1:], name)
        return found

    @cached_property
    def closed(self) -> bool:
        """Whether it has folders in which their owner can change nothing."""
        return any(what[0] == FOLDER and int(what[1:], 8) & 0o700 != 0o700 for what in self.entries.values())

    def beyond(self, base: Tree) -> dict[str, str]:
        """The entries that are others than in ``base``, or not there."""
        there = base.entries.get
        return {name: what for name, what in self.entries.items() if there(name) != what}

    def follows(self, base: Tree) -> bool:
        """Whether it can be made out of ``base`` in place: no folder forbids it, none has become something else."""
        here = self.entries.get
        kinds = ((what[0], here(name, what)[0]) for name, what in base.entries.items())
        return not (self.closed or base.closed) and all(was == now or FOLDER not in (was, now) for was, now in kinds)


def read_tree(
    source: str | Path, *, without: Sequence[Path] = (), stop: Callable[[], bool] = lambda: False, known: Tree | None = None
) -> Tree:
    """Read a workdir by the same rules as a copy on this host would be made.

    Args:
        known: an earlier reading of it; a file with the stamp that it had there is not read again.

    Raises:
        JobSpecError: the folder is missing, a file in it cannot be read, or a link leaves the tree.
        Changed: a file vanished meanwhile.
    """
    entries: dict[str, str] = {}
    reading = _Reading(known or Tree({}))
    for found, path in walk_workdir(source, without=without):
        if found.is_symlink():
            entries[path] = LINK + os.readlink(found.path)
        elif found.is_dir(follow_symlinks=False):
            if stop():
                break
            entries[path] = f"{FOLDER}{_mode(_status(found)):o}"
        elif found.is_file(follow_symlinks=False):
            entries[path] = reading.file(found, path)
    return Tree(entries, reading.stamps, reading.sizes, os.path.realpath(os.path.expanduser(source)))  # noqa: PTH111


class _Reading:
    """The files of one tree as they are read."""

    def __init__(self, known: Tree) -> None:
        self._known = known
        self._began = time.time_ns()
        self.stamps: dict[str, str] = {}
        self.sizes: dict[str, int] = {}

    def file(self, found: os.DirEntry[str], path: str) -> str:
        """What stands at the path of a file."""
        stamp = _stamp(status := _status(found))
        what = self._known.entries[path] if self._known.stamps.get(path) == stamp else _read(found.path)
        if what[0] == FILE:
            self.sizes[what[1:]] = status.st_size
        if self._settled(status):
            self.stamps[path] = stamp
        return what

    def _settled(self, status: os.stat_result) -> bool:
        """Whether a write from now on gives another stamp: one within the same tick of the clock would not."""
        last = max(status.st_mtime_ns, status.st_ctime_ns)
        return last < self._began - (_TICK if last % _SECOND else _COARSE_TICK)


def _status(found: os.DirEntry[str]) -> os.stat_result:
    try:
        return found.stat(follow_symlinks=False)
    except FileNotFoundError:
        raise Changed(found.path) from None


def _stamp(status: os.stat_result) -> str:
    # Who sets a file's time back after a change cannot set back the time of that.
    return f"{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}.{status.st_ino}"


def _mode(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o777


def _read(path: str) -> str:
    with opened(path) as fd:
        mode = _mode(os.fstat(fd.fileno()))
        if not (data := fd.read(_BLOCK)):
            return f"{EMPTY}{mode:o}"
        digest = sha256(data)
        # A file that fits is read in one call; the next one says that it is over.
        for more in _rest(fd):
            digest.update(more)
    return f"{FILE}{digest.hexdigest()}-{mode:o}"


def _rest(fd: FileIO) -> Iterator[bytes]:
    while data := fd.read(_BLOCK):
        yield data


def opened(path: str) -> FileIO:
    """A file to read; no link is followed.

    Raises:
        JobSpecError: we may not read it.
        Changed: it is not there any more, or something else.
    """
    try:
        return FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
    except PermissionError:
        raise unreadable(path) from None
    except OSError:
        raise Changed(path) from None
