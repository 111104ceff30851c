"""Bringing outputs from a node: the names of all files, then one archive of those that are wanted."""

from __future__ import annotations

import asyncio
import queue
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from lepton_sdk._executors.ignore import chosen
from lepton_sdk._executors.outputs import unpack
from lepton_sdk._executors.ssh.deadline import within
from lepton_sdk.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lepton_sdk._clock import Clock
    from lepton_sdk._executors.ssh.channel import Channel
    from lepton_sdk._executors.ssh.remote import Remote

__all__ = ["fetch_outputs"]

_CHUNK = 1 << 18
# Pieces that wait to be written: the network must not outrun the disk by more.
_WAITING = 16
# A large file comes in many pieces, and a stalled connection in none.
_STALL_SECONDS = 60.0


async def fetch_outputs(remote: Remote, clock: Clock, path: str, patterns: Sequence[str], target: Path) -> tuple[str, ...]:
    """Bring what fits into ``target``; the paths that were brought.

    Args:
        path: the run's folder on the node, below its folder of runs.

    Raises:
        NodeUnreachable: the connection broke or stalled.
        NodeError: the node cannot pack files, or sent others than asked.
    """
    means = chosen(patterns)
    wanted = {name for name in await _names(remote, clock, path) if means(name)}
    if not wanted:
        return ()
    channel = await remote.call("pack", path)
    try:
        asking = asyncio.ensure_future(_ask(channel, wanted))
        try:
            done = await _receive(remote, clock, channel, wanted, target)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        if missing := sorted(wanted - set(done)):
            note = await channel.note() or "they were gone when their turn came"
            raise NodeError(f"{remote.title} did not send {missing[0]!r} and {len(missing) - 1} more: {note}")
    finally:
        channel.close()
    return done


async def _names(remote: Remote, clock: Clock, path: str) -> list[str]:
    channel = await remote.call("list", path)
    text = bytearray()
    try:
        while piece := await within(clock, _STALL_SECONDS, channel.read(_CHUNK), remote.title):
            text += piece
    finally:
        channel.close()
    return [name.decode(errors="surrogateescape").removeprefix("./") for name in bytes(text).split(b"\0") if name]


async def _ask(channel: Channel, wanted: set[str]) -> None:
    await channel.send(b"".join(b"./" + name.encode(errors="surrogateescape") + b"\0" for name in sorted(wanted)))
    channel.finish()


async def _receive(remote: Remote, clock: Clock, channel: Channel, wanted: set[str], target: Path) -> tuple[str, ...]:
    pieces = _Pieces()
    unpacking = asyncio.ensure_future(asyncio.to_thread(unpack, cast("IO[bytes]", pieces), wanted, target))
    try:
        while not unpacking.done():
            piece = await within(clock, _STALL_SECONDS, channel.read(_CHUNK), remote.title)
            # In a thread, because a full queue waits for the disk.
            await asyncio.to_thread(pieces.put, piece)
            if not piece:
                break
    finally:
        pieces.end()
        # The thread sees the end and stops; nothing may be written behind our back.
        await asyncio.wait({unpacking})
    return unpacking.result()


class _Pieces:
    """A file that is read in one thread while it is written in another."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes] = queue.Queue(_WAITING)
        self._rest = b""
        self._over = False

    def put(self, piece: bytes) -> None:
        """Add a piece; waits while too many are waiting and somebody reads."""
        while not self._over:
            with suppress(queue.Full):
                self._queue.put(piece, timeout=0.5)
                break

    def end(self) -> None:
        """No more will come."""
        self._over = True

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        while len(self._rest) < size and (piece := self._next()):
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _next(self) -> bytes:
        while True:
            try:
                return self._queue.get(timeout=0.05)
            except queue.Empty:
                if self._over:
                    return b""
