"""Bringing outputs from a node: the names of all files, then one archive of those that are wanted, or several.

A node may say anything: each thing that it sends has a bound, one file that cannot be had costs itself, and whoever waits can
end it at any time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_sdk._executors.workdir.ignore import chosen
from lepton_sdk._executors.workdir.landing import Landing
from lepton_sdk._executors.workdir.outputs import to_its_end
from lepton_sdk._executors.workdir.unpacking import Broken, Enough, Unpacking
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import NodeError, NodeUnreachable
from lepton_sdk.spi.executor import Fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lepton_sdk._executors.transports.ssh.channel import Channel
    from lepton_sdk._executors.transports.ssh.host import SSHHost

__all__ = ["fetch_outputs"]

_CHUNK, _NAMES_CHUNK = 1 << 18, 1 << 16
# A large file comes in many pieces, and a stalled connection in none.
_STALL_SECONDS, _LIST_SECONDS = 60.0, 300.0
# Names of a million files; the longest that a system takes, with room.
_LONGEST_LIST, _LONGEST_NAME = 256 << 20, 1 << 14
_MOST_WANTED = 64 << 20
_LONGEST_NOTE = 1 << 16
# An archive is asked for anew for what is left of it, as long as that brings something.
_MOST_ROUNDS = 100
_GONE = b": No such file or directory"
_LEFT_OUT = "it was gone when its turn came"


async def fetch_outputs(remote: SSHHost, path: str, patterns: Sequence[str], target: Path, most: int | None = None) -> Fetched:
    """Bring what fits into ``target``.

    Args:
        path: the run's folder on the node, below its folder of runs.
        most: so many bytes are written at most.

    Raises:
        NodeUnreachable: the connection broke or stalled before anything was here.
        NodeError: the node cannot pack files.
    """
    landing = Landing(target, most)
    todo = await _names(remote, path, chosen(patterns), landing)
    for _ in range(_MOST_ROUNDS):
        if not todo:
            break
        try:
            why = await _archive(remote, path, todo, landing)
        except NodeError as error:
            if not landing.done:
                raise
            why, left = error.message, []
        else:
            left = [name for name in todo if not landing.settled(name)]
        if not left or len(left) == len(todo):
            for name in todo:
                if not landing.settled(name):
                    landing.miss(name, why)
            break
        todo = left
    for name in todo:
        if not landing.settled(name):
            landing.miss(name, "the node did not send it")
    await to_its_end(asyncio.to_thread(landing.finish))
    return landing.fetched


# --- names --------------------------------------------------------------------------------------------------------------


class _Listing:
    """Names as they come, with a null after each: files and links, then what is neither, then the end."""

    def __init__(self, means: Callable[[str], bool], landing: Landing) -> None:
        self._means, self._landing = means, landing
        self._begun = b""
        self._size = self._kept = 0
        self._section = 0
        self.wanted: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether the end was told."""
        return self._section > 2

    def feed(self, data: bytes) -> str:
        """Take a piece; what is wrong with it, if anything is."""
        self._size += len(data)
        *names, self._begun = (self._begun + data).split(b"\0")
        if len(self._begun) > _LONGEST_NAME or any(len(name) > _LONGEST_NAME for name in names):
            return "a name without end"
        for name in names:
            self._take(name)
        if self._size > _LONGEST_LIST or self._kept > _MOST_WANTED:
            return "more names than can be had"
        return ""

    def _take(self, raw: bytes) -> None:
        if not raw or (self._section == 2 and raw == b"."):
            self._section += 1
            return
        name = raw.decode(errors="surrogateescape").removeprefix("./")
        if self._section > 1 or not self._means(name):
            return
        self._kept += len(raw) + 64
        if self._section == 1:
            self._landing.miss(name, "it is no file: a pipe, a socket or a device")
        else:
            self.wanted.add(name)


async def _names(remote: SSHHost, path: str, means: Callable[[str], bool], landing: Landing) -> list[str]:
    listing = _Listing(means, landing)
    channel = await remote.call("list", path)
    try:
        await remote.until(_listed(remote, channel, listing), _LIST_SECONDS)
        notes = bytearray()
        await remote.until(channel.aside(notes, _LONGEST_NOTE), _STALL_SECONDS)
        # A job that runs takes files away, too.
        lines = [line for line in bytes(notes).splitlines() if not (line.startswith(b"find: ") and line.endswith(_GONE))]
        if lines:
            landing.miss(".", f"not everything there could be looked at: {one_line(lines[0])}")
    finally:
        channel.close()
    return sorted(listing.wanted)


async def _listed(remote: SSHHost, channel: Channel, listing: _Listing) -> None:
    while piece := await remote.until(channel.read(_NAMES_CHUNK), _STALL_SECONDS):
        if wrong := await to_its_end(asyncio.to_thread(listing.feed, piece)):
            raise channel.nonsense(piece, wrong)
    if not listing.over:
        raise NodeUnreachable(f"{remote.title} broke its list of files off: {await channel.note() or 'it said nothing'}")


# --- contents -----------------------------------------------------------------------------------------------------------


async def _archive(remote: SSHHost, path: str, wanted: Sequence[str], landing: Landing) -> str:
    """Ask for an archive of these names; why what did not come by it did not."""
    channel = await remote.call("pack", path)
    notes = bytearray()
    beside = [asyncio.ensure_future(_ask(channel, wanted)), asyncio.ensure_future(channel.aside(notes, _LONGEST_NOTE))]
    unpacking = Unpacking(frozenset(wanted), landing)
    try:
        why = await _received(remote, channel, unpacking)
        with suppress(NodeUnreachable):
            # What it says beside the archive ends with it.
            await remote.until(asyncio.shield(beside[1]), 1.0)
    finally:
        unpacking.drop()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        channel.close()
    if why is None:
        if not unpacking.entries and notes:
            raise NodeError(f"{remote.title} cannot pack files: {one_line(bytes(notes))}", hint="the node needs tar")
        _explain(wanted, unpacking.again, bytes(notes), landing)
    return why or _LEFT_OUT


async def _ask(channel: Channel, wanted: Sequence[str]) -> None:
    await channel.send(b"".join(b"./" + name.encode(errors="surrogateescape") + b"\0" for name in wanted))
    channel.finish()


async def _received(remote: SSHHost, channel: Channel, unpacking: Unpacking) -> str | None:
    """Unpack what comes; why it was not taken to its end, or ``None``."""
    try:
        while piece := await remote.until(channel.read(_CHUNK), _STALL_SECONDS):
            # In a thread, because a disk may be slow; none is left when we are cancelled.
            await to_its_end(asyncio.to_thread(unpacking.feed, piece))
        unpacking.end()
    except (Broken, Enough) as error:
        return str(error)
    return None


def _explain(wanted: Sequence[str], again: set[str], notes: bytes, landing: Landing) -> None:
    """Note why files of an archive that came to its end are not in it, in tar's own words where it has some."""
    lines = notes.decode(errors="surrogateescape").splitlines()
    for name in wanted:
        if not landing.settled(name) and name not in again:
            said = next((line for line in lines if f"{name}: " in line), "")
            landing.miss(name, said.rpartition(": ")[2] or _LEFT_OUT)
