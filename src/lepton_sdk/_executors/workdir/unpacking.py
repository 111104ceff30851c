"""Reading an archive that a node sends, piece by piece as it comes. Nothing in it is believed that was not asked for."""

from __future__ import annotations

import re
from collections.abc import Generator, Set

from attrs import frozen

from lepton_sdk._executors.workdir.landing import Incoming, Landing
from lepton_sdk._executors.workdir.tar import BLOCK

__all__ = ["Broken", "Enough", "Unpacking"]

# A long name or a few words about a file; nothing of this kind is larger.
_LONGEST_WORDS = 1 << 16
# A file that is not wanted is read over up to this size, and a larger one ends the archive: the rest is asked for anew.
_LONGEST_SKIP = 4 << 20
# Bytes of the archive for each file beside its content.
_AROUND = 1 << 13
_FILES, _SPECIAL = (b"0", b"\0", b"7"), {b"3": "a device", b"4": "a device", b"6": "a pipe"}
_LINK, _HARD_LINK, _LONG_NAME, _LONG_LINK, _WORDS, _COMMON_WORDS = b"2", b"1", b"L", b"K", b"x", b"g"
_OCTAL = re.compile(rb" *([0-7]{1,22})[ \0]*")
_TIME = re.compile(rb"(-?[0-9]{1,11})(\.[0-9]*)?")
_SIZE = re.compile(rb"[0-9]{1,18}")
_Steps = Generator[None, None, None]


class Broken(Exception):
    """The archive is none."""


class Enough(Exception):
    """The rest is better asked for anew."""


@frozen
class _Entry:
    """One entry's header."""

    kind: bytes
    name: str
    target: str
    size: int
    mode: int
    mtime: float | None
    sparse: bool


class Unpacking:
    """An archive on its way into a folder.

    Args:
        wanted: the paths that were asked for.
        landing: takes them.
    """

    def __init__(self, wanted: Set[str], landing: Landing) -> None:
        self._wanted = wanted
        self._landing = landing
        self._bytes = bytearray()
        self._idle = _LONGEST_SKIP + _AROUND * len(wanted)
        self._words: dict[bytes, bytes] = {}
        self._file: Incoming | None = None
        self._inside = False
        self.entries = 0
        # Second names of files that did not come: alone they come as files.
        self.again: set[str] = set()
        self._steps = self._run()

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            Broken: this is no archive.
            Enough: nothing more shall be read of it.
        """
        self._bytes += data
        # It only ends by raising.
        next(self._steps)

    def end(self) -> None:
        """Say that nothing more comes.

        Raises:
            Broken: it ended in the middle.
        """
        self.drop()
        if self._inside or self._bytes:
            raise Broken("the archive broke off")

    def drop(self) -> None:
        """Leave nothing of a file that is not whole."""
        if self._file is not None:
            self._file.drop()
            self._file = None

    def _run(self) -> _Steps:
        while True:
            head = yield from self._take(BLOCK)
            self._waste(BLOCK)
            # Zeros end an archive, and another one may follow.
            if any(head):
                self._inside = True
                yield from self._member(head)
                self._inside = False

    def _waste(self, size: int) -> None:
        self._idle -= size
        if self._idle < 0:
            raise Enough("the node sends what nobody asked for")

    def _take(self, size: int) -> Generator[None, None, bytes]:
        while len(self._bytes) < size:
            yield
        data = bytes(self._bytes[:size])
        del self._bytes[:size]
        return data

    def _member(self, head: bytes) -> _Steps:
        kind, size = head[156:157], _number(head[124:136])
        if kind in (_LONG_NAME, _LONG_LINK, _WORDS, _COMMON_WORDS):
            if size > _LONGEST_WORDS:
                raise Broken("a name in the archive has no end")
            text = (yield from self._take(size + -size % BLOCK))[:size]
            self._waste(size)
            if kind in (_LONG_NAME, _LONG_LINK):
                self._words[b"path" if kind == _LONG_NAME else b"linkpath"] = text.split(b"\0")[0]
            elif kind == _WORDS:
                self._words |= _words(text)
            return
        entry, self._words = _entry(head, kind, self._words), {}
        self.entries += 1
        self._begin(entry)
        left = 0 if kind in (_LINK, _HARD_LINK, *_SPECIAL) else entry.size
        if self._file is None and left:
            if left > _LONGEST_SKIP:
                raise Enough("what is not wanted is too large to be read over")
            self._waste(left)
        yield from self._content(left)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _content(self, left: int) -> _Steps:
        padding = -left % BLOCK
        while left:
            while not self._bytes:
                yield
            data = bytes(self._bytes[:left])
            del self._bytes[:left]
            left -= len(data)
            if self._file is not None:
                self._file.write(data)
        yield from self._take(padding)

    def _begin(self, entry: _Entry) -> None:
        """Decide on an entry; a file that comes is then open."""
        name, landing = entry.name, self._landing
        if name not in self._wanted or landing.settled(name):
            return
        if entry.kind == _LINK:
            landing.link(name, entry.target)
        elif entry.kind == _HARD_LINK:
            other = entry.target.removeprefix("./")
            if other in landing.done:
                landing.copy(name, other)
            else:
                self.again.add(name)
        elif entry.kind in _SPECIAL:
            landing.miss(name, f"it is {_SPECIAL[entry.kind]}, and no file")
        elif entry.sparse or entry.kind not in _FILES:
            landing.miss(name, "the node sent it in a form that is not read here")
        else:
            self._file = landing.receive(name, entry.size, entry.mode, entry.mtime)


def _entry(head: bytes, kind: bytes, words: dict[bytes, bytes]) -> _Entry:
    total = sum(head) - sum(head[148:156]) + 8 * ord(" ")
    if _number(head[148:156]) != total:
        raise Broken("a header of the archive does not hold")
    name = _text(head[:100])
    # GNU's own form has other things there.
    if head[257:263] == b"ustar\0" and (above := _text(head[345:500])):
        name = above + b"/" + name
    size, mtime = _number(head[124:136]), float(_number(head[136:148], none=0))
    if (given := words.get(b"size")) is not None:
        if not _SIZE.fullmatch(given):
            raise Broken("a size in the archive is no number")
        size = int(given)
    if (given := words.get(b"mtime")) is not None:
        match = _TIME.fullmatch(given)
        mtime = float(given) if match else -1.0
    path = words.get(b"path", name).decode(errors="surrogateescape").removeprefix("./")
    target = words.get(b"linkpath", _text(head[157:257])).decode(errors="surrogateescape")
    sparse = any(key.startswith(b"GNU.sparse") for key in words)
    return _Entry(kind, path, target, size, _number(head[100:108], none=0o600), mtime if mtime >= 0 else None, sparse)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes, none: int | None = None) -> int:
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
    elif (match := _OCTAL.fullmatch(field)) is not None:
        number = int(match[1], 8)
    elif none is not None:
        return none
    else:
        raise Broken("a number in the archive is none")
    if number >= 1 << 62:
        if none is not None:
            return none
        raise Broken("a size in the archive is beyond all measure")
    return number


def _words(text: bytes) -> dict[bytes, bytes]:
    """What an extended header says: lines of a length, a key and a value."""
    found: dict[bytes, bytes] = {}
    while text:
        length, _, _ = text.partition(b" ")
        if not _SIZE.fullmatch(length) or not len(length) < int(length) <= len(text):
            raise Broken("the words about a file in the archive do not hold")
        key, _, value = text[len(length) + 1 : int(length)].removesuffix(b"\n").partition(b"=")
        found[key] = value
        text = text[int(length) :]
    return found
