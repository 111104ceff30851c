"""The log of a run on this host: read from its file, and followed as it grows."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from lepton_sdk._clock import Clock

__all__ = ["follow_log", "read_log", "read_plain"]

_CHUNK = 1 << 16
_EAGER, _IDLE = 0.005, 0.02
# Between two looks for a keeper that died: its record does not change then, so a file's state cannot tell.
_LIVENESS = 1.0


async def read_log(path: Path, offset: int) -> AsyncIterator[bytes]:
    """What stands in the log from byte ``offset`` on."""
    import asyncio

    while data := await asyncio.to_thread(_read, path, offset):
        offset += len(data)
        yield data


async def follow_log(path: Path, offset: int, ended: Callable[[], Awaitable[bool]], clock: Clock) -> AsyncIterator[bytes]:
    """What comes into the log from byte ``offset`` on, until its run has ended."""
    while True:
        before = _stamp(path)
        # Asked first: what is written before the end must be read after it.
        last = await ended()
        async for data in read_log(path, offset):
            offset += len(data)
            yield data
        if last:
            return
        await _more(path, offset, before, clock)


async def _more(path: Path, offset: int, before: tuple[int, ...], clock: Clock) -> None:
    """Wait until the log grew, the record changed, or it is time to see whether its keeper lives."""
    pause = _EAGER
    until = clock.monotonic() + _LIVENESS
    while _size(path) <= offset and _stamp(path) == before and clock.monotonic() < until:
        await clock.sleep(pause)
        pause = min(pause * 1.2, _IDLE)


def read_plain(path: Path, most: int, offset: int = 0) -> bytes:
    """Up to ``most`` bytes of a file; none of what is no file, such as a pipe that would hold us or a device without end."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(fd, most, offset) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _read(path: Path, offset: int) -> bytes:
    try:
        return read_plain(path, _CHUNK, offset)
    except FileNotFoundError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _stamp(log: Path) -> tuple[int, ...]:
    # The record beside the log is replaced, never rewritten, so its inode tells. Earlier versions gave it another name.
    return tuple(_inode(log.with_name(name)) for name in ("status", "status.json"))


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
