"""What goes over the wire to make a workdir on a node: one archive, and in it what the node's shell does with it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Set
from hashlib import sha256
from shlex import quote

from lepton_sdk._executors.workdir import tar
from lepton_sdk._executors.workdir.tree import FILE, FOLDER, LINK, Changed, Tree, opened

__all__ = ["pack"]

_BLOCK = 1 << 18
# Names on one command line of the node: far below what any kernel takes.
_NAMES = 100


def pack(tree: Tree, missing: Set[str], base: Tree | None = None) -> Iterator[bytes]:
    """Pieces of the archive that makes ``work`` of a tree out of ``base``, or out of nothing.

    In its order: folders, links and contents as they stand in the tree; ``links``, an archive of hard links to what is
    there already; ``gone``, a script that removes; ``modes``, those of folders that allow no change; ``fresh``, an archive
    of hard links that names each new content by its hash; ``end``, without which it broke off.

    Args:
        missing: the contents that the node lacks; each is sent once.

    Raises:
        Changed: a file was written to meanwhile; the archive is broken off.
    """
    changed = tree.beyond(base) if base else dict(tree.entries)
    # In another name's place a content is a hard link to its first one, from which the node makes a copy.
    first = {name for content in missing if changed.get(name := tree.contents[content]) == FILE + content}
    linked = {name: what[1:] for name, what in changed.items() if what[0] == FILE and name not in first}
    for name, what in changed.items():
        if name in first:
            yield from _content(tree, name, what[1:])
        elif what[0] != FILE:
            yield _plain(f"work/{name}", what)
    if linked:
        yield from _inner(b"links", _links(tree, linked, missing))
    # A name that gets a hard link must be free.
    if base and (gone := sorted((base.entries.keys() - tree.entries.keys()) | (base.entries.keys() & linked.keys()))):
        yield from _whole(b"gone", _removing(gone))
    if tree.closed:
        yield from _inner(b"modes", _modes(tree))
    if missing:
        yield from _inner(b"fresh", _names(tree, missing))
    yield tar.entry(b"end", tar.FILE, 0o600) + tar.END


def _plain(name: str, what: str) -> bytes:
    kind, rest = what[0], what[1:]
    if kind == LINK:
        return tar.entry(os.fsencode(name), tar.LINK, 0o777, target=os.fsencode(rest))
    # A folder that may not be written in gets its mode when everything is in it.
    mode = int(rest, 8) | (0o700 if kind == FOLDER else 0)
    return tar.entry(os.fsencode(name), tar.FOLDER if kind == FOLDER else tar.FILE, mode)


def _content(tree: Tree, name: str, content: str) -> Iterator[bytes]:
    """One content with its header; the bytes are hashed again, because a node keeps them under their hash for good."""
    path = os.path.join(tree.root, name)  # noqa: PTH118
    digest, hashed, left = sha256(), content[: content.index("-")], tree.sizes[content]
    with opened(path) as fd:
        yield tar.entry(
            b"work/" + os.fsencode(name), tar.FILE, _mode(content), size=left, mtime=int(os.fstat(fd.fileno()).st_mtime)
        )
        size = left
        while left and (data := fd.read(min(left, _BLOCK))):
            digest.update(data)
            left -= len(data)
            yield data
        if left or fd.read(1) or digest.hexdigest() != hashed:
            raise Changed(path)
    yield tar.padding(size)


def _mode(content: str) -> int:
    return int(content[content.index("-") + 1 :], 8)


def _links(tree: Tree, linked: dict[str, str], missing: Set[str]) -> Iterator[bytes]:
    """Hard links below ``tree``, to a blob or to the first place of a new content; and the folders that they stand in."""
    above = {b"tree"}
    yield tar.entry(b"tree", tar.FOLDER, 0o700)
    for name, content in linked.items():
        for folder in _folders(name):
            if (path := b"tree/" + os.fsencode(folder)) not in above:
                above.add(path)
                # Copying gives these modes to the folders of the run.
                yield tar.entry(path, tar.FOLDER, int(tree.entries[folder][1:], 8) | 0o700)
        target = f"work/{tree.contents[content]}" if content in missing else f"blobs/{content}"
        yield tar.entry(b"tree/" + os.fsencode(name), tar.HARD_LINK, _mode(content), target=os.fsencode(target))


def _folders(name: str) -> Iterator[str]:
    """The folders above a name, from the outside in."""
    place = name.find("/")
    while place >= 0:
        yield name[:place]
        place = name.find("/", place + 1)


def _removing(names: list[str]) -> bytes:
    parts = [names[n : n + _NAMES] for n in range(0, len(names), _NAMES)]
    lines = ["rm -rf -- " + " ".join(map(quote, part)) + " || exit\n" for part in parts]
    return os.fsencode("".join(lines))


def _modes(tree: Tree) -> Iterator[bytes]:
    for name, what in reversed(list(tree.entries.items())):
        if what[0] == FOLDER and int(what[1:], 8) & 0o700 != 0o700:
            yield tar.entry(b"work/" + os.fsencode(name), tar.FOLDER, int(what[1:], 8))


def _names(tree: Tree, missing: Set[str]) -> Iterator[bytes]:
    yield tar.entry(b"new", tar.FOLDER, 0o700)
    for content in missing:
        target = b"work/" + os.fsencode(tree.contents[content])
        yield tar.entry(b"new/" + content.encode(), tar.HARD_LINK, _mode(content), target=target)


def _inner(name: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    # gzip's form; hundreds of bytes of zeros for each file shrink to a few.
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(piece) for piece in pieces) + packer.compress(tar.END) + packer.flush()
    return _whole(name, data)


def _whole(name: bytes, data: bytes) -> Iterator[bytes]:
    yield tar.entry(name, tar.FILE, 0o600, size=len(data))
    yield data + tar.padding(len(data))
