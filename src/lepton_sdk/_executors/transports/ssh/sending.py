"""Bringing a workdir to a node: only contents that it lacks, in one stream, and a tree of the run's own made with them there."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from lepton_sdk._executors.transports.ssh.channel import LONGEST_ANSWER
from lepton_sdk._executors.workdir.known import KnownTrees
from lepton_sdk._executors.workdir.pack import pack
from lepton_sdk._executors.workdir.tree import FILE, Changed, Tree, read_tree
from lepton_sdk._executors.workdir.walk import workdir_root
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import JobSpecError, NodeError, NodeUnreachable
from lepton_sdk.spi.executor import Execution

if TYPE_CHECKING:
    from lepton_sdk._executors.transports.ssh.channel import Channel
    from lepton_sdk._executors.transports.ssh.host import SSHHost
    from lepton_sdk._executors.transports.ssh.progress import Progress

__all__ = ["send_workdir"]

_TRIES = 3
_PIECE = 1 << 18
_LIST_SECONDS = 120.0
# A node that takes no byte for so long takes none any more; making the tree of what it got may take far longer.
_STALL_SECONDS, _BUILD_SECONDS = 120.0, 1800.0
# Bytes that the name of one content takes in an answer.
_NAMED = 160
_FULL = ("No space left on device", "Disk quota exceeded")
# What lies on a node for a run that may never come is kept within this: a second copy takes room, and time from jobs.
_SPARE_BYTES, _SPARE_FILES = 1 << 30, 200_000
# More than this is not sent again to a run that comes soon: its contents are kept before the run begins.
_LARGE = 64 << 20
_NONE, _BY_BLOBS = "-", "blobs"


async def send_workdir(remote: SSHHost, execution: Execution, path: str, *, state: Path, progress: Progress) -> str | list[str]:
    """Send the job's workdir.

    Args:
        path: the run's folder on the node, below its folder of runs.
        state: our folder on this host; not descended into.
        progress: is told what has been sent.

    Returns:
        The place on the node where the run's tree stands; or the keeper's word why none is needed.

    Raises:
        JobSpecError: the workdir cannot be read or keeps changing, or the node has no room for it.
        NodeError: the node cannot take files.
    """
    assert execution.job.workdir is not None
    workdir = workdir_root(execution.job.workdir)
    memory = KnownTrees(state / "workdirs", workdir, remote.title)
    known, spare = await asyncio.to_thread(memory.recall), True
    for turn in range(_TRIES):
        try:
            offer = await _offer(remote, f"need {path} {execution.epoch}", workdir, state, known, spare=spare)
            if isinstance(offer, list):
                return offer
            # Written while the node is busy with what it gets.
            keeping = asyncio.ensure_future(asyncio.to_thread(memory.keep, offer.tree))
            try:
                progress.begin(offer.size)
                if await _send(remote, offer, workdir, progress):
                    return offer.place
            finally:
                await keeping
            # Another run was quicker to take what this one was to be made of.
            spare = False
        except Changed as error:
            if turn == _TRIES - 1:
                text = f"workdir: {error.path!r} changed each time it was sent"
                raise JobSpecError(text, hint="name what is being written to in .leptonignore") from None
    raise NodeUnreachable(f"{remote.title} took {workdir!r} in none of {_TRIES} turns", hint="try again")


@frozen
class _Offer:
    """What is to be sent: a tree, the contents that the node lacks, and the tree there that it is to be made of."""

    place: str
    tree: Tree
    missing: frozenset[str]
    base: Tree | None

    @property
    def size(self) -> int:
        """Bytes of what the node lacks."""
        return sum(self.tree.sizes[name] for name in self.missing)

    @property
    def words(self) -> str:
        """The call that takes it: what the tree is made of, and by which name a spare of it is wanted, if so."""
        tree = self.tree
        total = sum(tree.sizes[what[1:]] for what in tree.entries.values() if what[0] == FILE)
        spare = total <= _SPARE_BYTES and len(tree.entries) <= _SPARE_FILES and not tree.closed
        start = self.base.id if self.base else _BY_BLOBS if self.size > _LARGE else _NONE
        return f"receive {self.place} {start} {tree.id if spare else _NONE} {total} {len(tree.entries)}"


async def _offer(
    remote: SSHHost, words: str, workdir: str, state: Path, known: Tree | None, *, spare: bool
) -> _Offer | list[str]:
    """Read the workdir while the node looks what it has; or the node's word why it needs nothing."""
    place, given_up = secrets.token_hex(8), threading.Event()
    base = known.id if known and spare else _NONE
    reading = asyncio.ensure_future(
        asyncio.to_thread(read_tree, workdir, without=(state / "runs", state / "in"), stop=given_up.is_set, known=known)
    )
    try:
        channel = await remote.call(words, place, base)
        try:
            said = await remote.in_time(channel, _LIST_SECONDS)
            if said[:1] != ["ok"]:
                _refuse_full(remote, said)
                return said
            tree = await reading
            made_of = known if "spare" in said and known and tree.follows(known) else None
            wanted = {what[1:] for what in (tree.beyond(made_of) if made_of else tree.entries).values() if what[0] == FILE}
            missing = frozenset(wanted) if "nothing" in said else await _missing(remote, channel, wanted)
            return _Offer(place, tree, missing, made_of)
        finally:
            channel.close()
    finally:
        given_up.set()
        # Whatever came in its way is told already.
        await asyncio.gather(reading, return_exceptions=True)


async def _missing(remote: SSHHost, channel: Channel, wanted: set[str]) -> frozenset[str]:
    """Which contents the node lacks."""
    sending = asyncio.ensure_future(_ask(channel, "".join(f"{name}\n" for name in wanted).encode()))
    try:
        # Both at once: a long answer must not wait for a reader that is still sending.
        said = frozenset(await remote.in_time(channel, _LIST_SECONDS, LONGEST_ANSWER + _NAMED * len(wanted)))
        if not said <= wanted:
            raise channel.nonsense(next(iter(said - wanted)), "contents that nobody named")
        return said
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _ask(channel: Channel, names: bytes) -> None:
    await channel.send(names)
    channel.finish()


async def _send(remote: SSHHost, offer: _Offer, workdir: str, progress: Progress) -> bool:
    """Send it; false when what it was to be made of is not there any more."""
    channel = await remote.call(offer.words)
    try:
        sending = asyncio.ensure_future(_stream(remote, channel, pack(offer.tree, offer.missing, offer.base), progress))
        answering = asyncio.ensure_future(channel.answer())
        # A node without room says so before everything is sent.
        await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            # A pipe that broke means an answer is on its way that says why.
            with suppress(NodeUnreachable):
                await sending
        said = await remote.until(answering, _BUILD_SECONDS)
    finally:
        sending.cancel()
        answering.cancel()
        await asyncio.gather(sending, answering, return_exceptions=True)
        channel.close()
    if said[:1] not in (["ok"], ["gone"]):
        _refuse_full(remote, said)
        raise NodeError(
            f"{remote.title} could not take {workdir!r}: {one_line(' '.join(said[:3]))}",
            hint="the node needs tar and gzip, and room",
        )
    return said[0] == "ok"


async def _stream(remote: SSHHost, channel: Channel, pieces: Iterator[bytes], progress: Progress) -> None:
    while data := await asyncio.to_thread(_gather, pieces):
        await remote.until(channel.send(data), _STALL_SECONDS)
        progress.add(len(data))
    channel.finish()


def _gather(pieces: Iterator[bytes]) -> bytes:
    """The next pieces as one block; nothing at the end."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _PIECE:
            break
    return bytes(block)


def _refuse_full(remote: SSHHost, said: list[str]) -> None:
    text = one_line(" ".join(said[:3]))
    if any(words in text for words in _FULL):
        raise JobSpecError(
            f"workdir: no space left for it on {remote.title}: {text.removeprefix('error ').strip()}",
            hint="take a node with more disk, or name what a run does not need in .leptonignore",
        )
