"""A workdir as a list of names and contents, and the two archives that bring it to a node."""

# Ten thousand files should take a second, so paths stay text.
# ruff: noqa: PTH115

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import FileIO
from pathlib import Path

from attrs import frozen

from lepton_sdk._executors.ssh.archive import END, FILE, FOLDER, HARD_LINK, LINK, entry, padding
from lepton_sdk._executors.workdir import unreadable, walk_workdir

__all__ = ["Changed", "Tree", "read_tree"]

_BLOCK = 1 << 18


class Changed(Exception):
    """A file is not what it was a moment ago."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@frozen
class _Content:
    """One content that some file of the tree has: where to read it, and what its header says."""

    path: str
    size: int
    mode: int
    mtime: int


@frozen
class _Entry:
    name: bytes
    kind: bytes
    mode: int
    target: bytes


@frozen
class Tree:
    """What a run gets.

    Attributes:
        entries: each folder before what is in it; the target of a file is the name of its content.
        contents: by name, which is the hash of the bytes and the mode, for a mode belongs to an inode.
    """

    entries: tuple[_Entry, ...]
    contents: dict[bytes, _Content]

    def size(self, names: set[bytes]) -> int:
        """Bytes of some contents."""
        return sum(self.contents[name].size for name in names)

    @property
    def names(self) -> bytes:
        """The names of all contents, a line each."""
        return b"".join(b"%s\n" % name for name in self.contents)

    def archive(self, place: str, missing: set[bytes]) -> Iterator[bytes]:
        """Pieces of the archive for a node: the contents that are missing there, and how the tree is made of them.

        Raises:
            Changed: a file was written to meanwhile; the archive is broken off.
        """
        yield entry(b"b", FOLDER, 0o700)
        for name in missing:
            yield from _pieces(b"b/" + name, self.contents[name], name)
        links = _packed(self._links(place.encode(), missing))
        yield entry(b"links.tar.gz", FILE, 0o600, size=len(links))
        yield links + padding(len(links))
        yield entry(b"end", FILE, 0o600) + END

    def _links(self, place: bytes, missing: set[bytes]) -> Iterator[bytes]:
        """An archive of hard links: with it one call of tar makes ten thousand files by their names."""
        tree = b"in/%s/tree" % place
        yield entry(tree, FOLDER, 0o700)
        for one in self.entries:
            name = b"%s/%s" % (tree, one.name)
            if one.kind == FOLDER:
                yield entry(name, FOLDER, 0o700)
            elif one.kind == FILE and one.target:
                home = b"in/%s/b" % place if one.target in missing else b"blobs"
                yield entry(name, HARD_LINK, one.mode, target=b"%s/%s" % (home, one.target))
            else:
                yield entry(name, one.kind, one.mode, target=one.target)
        # A folder that may not be written in gets its mode when everything is in it.
        for one in reversed(self.entries):
            if one.kind == FOLDER and one.mode != 0o700:
                yield entry(b"%s/%s" % (tree, one.name), FOLDER, one.mode)
        yield END


def read_tree(source: str | Path, *, without: Path | None = None, stop: Callable[[], bool] = lambda: False) -> Tree:
    """Read a workdir by the same rules as a copy on this host would be made.

    Raises:
        JobSpecError: the folder is missing, a file in it cannot be read, or a link leaves the tree.
        Changed: a file vanished meanwhile.
    """
    entries: list[_Entry] = []
    contents: dict[bytes, _Content] = {}
    for found, path in walk_workdir(source, without=without):
        name = os.fsencode(path)
        if found.is_symlink():
            entries.append(_Entry(name, LINK, 0o777, os.fsencode(os.readlink(found.path))))
        elif found.is_dir(follow_symlinks=False):
            if stop():
                break
            entries.append(_Entry(name, FOLDER, _mode(found.stat(follow_symlinks=False)), b""))
        elif found.is_file(follow_symlinks=False):
            entries.append(_file(found.path, name, contents))
    return Tree(tuple(entries), contents)


def _mode(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o777


def _file(path: str, name: bytes, contents: dict[bytes, _Content]) -> _Entry:
    digest, size = sha256(), 0
    with _opened(path) as fd:
        status = os.fstat(fd.fileno())
        while data := fd.read(_BLOCK):
            digest.update(data)
            size += len(data)
    mode = _mode(status)
    if not size:
        # Empty files are common and have no content to share; some file systems allow few links to one inode.
        return _Entry(name, FILE, mode, b"")
    content = f"{digest.hexdigest()}-{mode:o}".encode()
    contents.setdefault(content, _Content(path, size, mode, int(status.st_mtime)))
    return _Entry(name, FILE, mode, content)


def _opened(path: str) -> FileIO:
    try:
        return FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
    except PermissionError:
        raise unreadable(path) from None
    except OSError:
        raise Changed(path) from None


def _pieces(name: bytes, content: _Content, hashed: bytes) -> Iterator[bytes]:
    """One content with its header; the bytes are hashed again, because a node keeps them under their hash for good."""
    digest, left = sha256(), content.size
    yield entry(name, FILE, content.mode, size=content.size, mtime=content.mtime)
    with _opened(content.path) as fd:
        while left and (data := fd.read(min(left, _BLOCK))):
            digest.update(data)
            left -= len(data)
            yield data
        if left or fd.read(1) or not hashed.startswith(digest.hexdigest().encode()):
            raise Changed(content.path)
    yield padding(content.size)


def _packed(pieces: Iterator[bytes]) -> bytes:
    # gzip's form; hundreds of bytes of zeros for each file shrink to a few.
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(packer.compress(piece) for piece in pieces) + packer.flush()
