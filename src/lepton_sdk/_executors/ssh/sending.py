"""Bringing a workdir to a node: only contents that it lacks, in one stream, and a fresh tree made of them there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_sdk._executors.ssh.tree import Changed, Tree, read_tree
from lepton_sdk.errors import JobSpecError, NodeError, NodeUnreachable
from lepton_sdk.spi.executor import Execution

if TYPE_CHECKING:
    from lepton_sdk._executors.ssh.channel import Channel
    from lepton_sdk._executors.ssh.progress import Progress
    from lepton_sdk._executors.ssh.remote import Remote

__all__ = ["send_workdir"]

_TRIES = 3
_PIECE = 1 << 18
_LIST_SECONDS = 120.0
_FULL = ("No space left on device", "Disk quota exceeded")


async def send_workdir(remote: Remote, execution: Execution, path: str, *, without: Path, progress: Progress) -> str | list[str]:
    """Send the job's workdir.

    Args:
        path: the run's folder on the node, below its folder of runs.
        without: a folder of this host that is not descended into.
        progress: is told what has been sent.

    Returns:
        The place on the node where the fresh copy stands; or the keeper's word why none is needed.

    Raises:
        JobSpecError: the workdir cannot be read or keeps changing, or the node has no room for it.
        NodeError: the node cannot take files.
    """
    assert execution.job.workdir is not None
    for turn in range(_TRIES):
        try:
            tree = await asyncio.to_thread(read_tree, execution.job.workdir, without=without)
            place = secrets.token_hex(8)
            missing = await _missing(remote, tree, f"need {path} {execution.epoch} {place}".split())
            if isinstance(missing, list):
                return missing
            progress.begin(tree.size(missing))
            await _send(remote, tree.archive(place, missing), place, execution.job.workdir, progress)
        except Changed as error:
            if turn == _TRIES - 1:
                text = f"workdir: {error.path!r} changed each time it was sent"
                raise JobSpecError(text, hint="name what is being written to in .leptonignore") from None
        else:
            return place
    raise AssertionError("the last turn returns or raises")


async def _missing(remote: Remote, tree: Tree, words: list[str]) -> set[bytes] | list[str]:
    """Which contents the node lacks, or its word why it needs none."""
    channel = await remote.call(*words)
    try:
        # Both at once: a long answer must not wait for a reader that is still sending.
        sending = asyncio.ensure_future(_ask(channel, tree.names))
        try:
            said = await remote.in_time(channel, _LIST_SECONDS)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    finally:
        channel.close()
    if said[:1] != ["ok"]:
        _refuse_full(remote, said)
        return said
    return {name.encode() for name in said[1:]}


async def _ask(channel: Channel, names: bytes) -> None:
    await channel.send(names)
    channel.finish()


async def _send(remote: Remote, pieces: Iterator[bytes], place: str, workdir: str, progress: Progress) -> None:
    channel = await remote.call("receive", place)
    try:
        sending = asyncio.ensure_future(_stream(channel, pieces, progress))
        answering = asyncio.ensure_future(channel.answer())
        # A node without room says so before everything is sent.
        await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            # A pipe that broke means an answer is on its way that says why.
            with suppress(NodeUnreachable):
                await sending
        said = await answering
    finally:
        sending.cancel()
        answering.cancel()
        await asyncio.gather(sending, answering, return_exceptions=True)
        channel.close()
    if said[:1] != ["ok"]:
        _refuse_full(remote, said)
        raise NodeError(
            f"{remote.title} could not take {workdir!r}: {' '.join(said)}", hint="the node needs tar and gzip, and room"
        )


async def _stream(channel: Channel, pieces: Iterator[bytes], progress: Progress) -> None:
    while data := await asyncio.to_thread(_gather, pieces):
        await channel.send(data)
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


def _refuse_full(remote: Remote, said: list[str]) -> None:
    text = " ".join(said)
    if any(words in text for words in _FULL):
        raise JobSpecError(
            f"workdir: no space left for it on {remote.title}: {text.removeprefix('error ').strip()}",
            hint="take a node with more disk, or name what a run does not need in .leptonignore",
        )
