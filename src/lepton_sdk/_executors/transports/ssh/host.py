"""One host behind SSH: its connections, and the channels on them, two of which wait ready for the next calls."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from shlex import quote
from typing import TYPE_CHECKING, TypeVar

from lepton_sdk._clock import Clock
from lepton_sdk._executors.keeper.program import KEEPER, KEEPER_NAME
from lepton_sdk._executors.transports.ssh.channel import LONGEST_ANSWER, Channel, unreachable
from lepton_sdk._executors.transports.ssh.connection import Connection, connect, title
from lepton_sdk._executors.transports.ssh.deadline import within
from lepton_sdk._executors.transports.ssh.hostkeys import HostKeys
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import NodeError, NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lepton_sdk.spi.executor import CommandResult

__all__ = ["SSHHost"]

_T = TypeVar("_T")

_ANSWER_SECONDS = 30.0
# What a user's start-up files print.
_LONGEST_WELCOME = 1 << 18
# A host that is gone takes no farewell.
_GOODBYE_SECONDS = 2.0
# A start and a look at its log come one after the other.
_SPARES = 2
# New ones are made once the call that took one has had the node to itself.
_REFILL_SECONDS = 0.15
# One line each and no quotes inside: a login shell may be any, and the words go to /bin/sh as they are.
_FIND = 'case $1 in /*) b=$1;; *) b=$HOME/$1;; esac; k=$b/$2; test -s "$k" && exec /bin/sh "$k" "$b"; echo absent'
_BRING = (
    'umask 077; case $1 in /*) b=$1;; *) b=$HOME/$1;; esac; k=$b/$2; mkdir -p "$b" && cat >"$k.$$" && '
    'test "$(wc -c <"$k.$$")" -eq "$3" && mv -f "$k.$$" "$k" && echo ready'
)


class SSHHost:
    """A node behind SSH and the keeper on it.

    Args:
        access: how to reach the node.
        base: the folder for our files there; relative to the user's home.
        machine: under which name a rented machine's host key is known; ``""`` for a host that is known by its address.
        through: gives the connection to the host that we must go through; ``None`` for none.
    """

    def __init__(
        self,
        access: SSHAccess,
        *,
        clock: Clock,
        keys: HostKeys,
        base: str,
        machine: str = "",
        through: Callable[[], Awaitable[Connection]] | None = None,
    ) -> None:
        self.title = title(access)
        self._access = access
        self._clock = clock
        self._keys = keys
        self._words = f"{quote(base)} {KEEPER_NAME}"
        self._machine = machine
        self._through = through
        self._connections: list[Connection] = []
        self._connecting = asyncio.Lock()
        self._spares: deque[asyncio.Task[Channel]] = deque()
        self._refilling: asyncio.Task[None] | None = None
        self._serving: Channel | None = None
        self._asking = asyncio.Lock()

    # --- connections -----------------------------------------------------------------------------------------------

    async def connection(self) -> Connection:
        """A connection with room for one more channel; a new one when there is none."""
        async with self._connecting:
            for one in self._connections:
                if one.spent:
                    one.ssh.abort()
            self._connections = [one for one in self._connections if not (one.spent or one.ssh.is_closed())]
            for one in self._connections:
                if one.room:
                    return one
            through = await self._through() if self._through else None
            fresh = await connect(self._access, self._keys, through, self._machine)
            self._connections.append(fresh)
            return fresh

    async def _open(self, script: str, *more: str) -> Channel:
        import asyncssh

        connection = await self.connection()
        command = " ".join(("exec /bin/sh -c", quote(script), "sh", self._words, *more))
        # Counted before it is open, so that two at once do not take the last place both.
        connection.channels += 1
        try:
            with unreachable(self.title, besides=asyncssh.ChannelOpenError):
                opening = connection.ssh.create_process(command, encoding=None)
                process = await within(self._clock, _ANSWER_SECONDS, opening, self.title)
                return Channel(process, self.title, connection, self._clock)
        except asyncssh.ChannelOpenError as error:
            connection.channels -= 1
            if not connection.channels:
                raise NodeUnreachable(f"{self.title} opens no session: {error}", hint="is its sshd overloaded?") from error
            # This sshd allows fewer sessions than others do.
            connection.most = connection.channels
        except BaseException:
            connection.channels -= 1
            raise
        return await self._open(script, *more)

    async def command(self, script: str, data: bytes, seconds: float) -> CommandResult:
        """Run a script to its end, outside of any run.

        Raises:
            NodeUnreachable: no answer, or none within ``seconds``; the script may have run.
        """
        channel = await self._open(script)
        try:
            return await within(self._clock, seconds, channel.whole(data), self.title)
        finally:
            channel.close()

    # --- the keeper ------------------------------------------------------------------------------------------------

    async def call(self, *words: str) -> Channel:
        """A channel on which the keeper does what the words say; the caller closes it.

        Raises:
            NodeUnreachable: the node did not answer.
            NodeError: it does not let us in, or has no shell for us.
        """
        channel = await self._ready()
        try:
            await self.tell(channel, " ".join(words).encode() + b"\n")
        except BaseException:
            channel.close()
            raise
        return channel

    async def tell(self, channel: Channel, data: bytes) -> None:
        """Send something short on a channel, or `NodeUnreachable` when the node does not take it."""
        await self.until(channel.send(data), _ANSWER_SECONDS)

    async def until(self, work: Awaitable[_T], seconds: float) -> _T:
        """The result of something that the node must answer, or `NodeUnreachable` after ``seconds``."""
        return await within(self._clock, seconds, work, self.title)

    async def ask(self, *words: str) -> list[str]:
        """One short question to the channel that answers them all; starts no process on the node."""
        async with self._asking:
            try:
                if self._serving is None or not self._serving.open:
                    self._hang_up()
                    self._serving = await self.call("serve")
                await self.tell(self._serving, " ".join(words).encode() + b"\n")
                return await self.in_time(self._serving)
            except BaseException:
                # Half an answer must not be taken for the next one.
                self._hang_up()
                raise

    async def in_time(self, channel: Channel, seconds: float = _ANSWER_SECONDS, most: int = LONGEST_ANSWER) -> list[str]:
        """The answer on a channel, or `NodeUnreachable` after ``seconds`` or ``most`` bytes."""
        return await within(self._clock, seconds, channel.answer(most), self.title)

    def _hang_up(self) -> None:
        if self._serving is not None:
            self._serving.close()
            self._serving = None

    async def _ready(self) -> Channel:
        """A channel that waits, and others made ready in its place."""
        seconds = 0.0
        try:
            while self._spares:
                # What went wrong while a spare was made ready may be long over; only a fresh one tells.
                with suppress(NodeError):
                    channel = await self._spares.popleft()
                    if channel.open:
                        seconds = _REFILL_SECONDS
                        return channel
                    channel.close()
            return await self._attend()
        finally:
            if self._refilling is None or self._refilling.done():
                self._refilling = asyncio.ensure_future(self._refill(seconds))

    async def _refill(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        while len(self._spares) < _SPARES:
            self._spares.append(asyncio.ensure_future(self._attend()))
            self._spares[-1].add_done_callback(_heed)

    async def _attend(self, *, brought: bool = False) -> Channel:
        channel = await self._open(_FIND)
        try:
            said, noise = await within(self._clock, _ANSWER_SECONDS, _greeting(channel), self.title)
        except BaseException:
            channel.close()
            raise
        if said == "ready":
            return channel
        note = await channel.note() if not said else ""
        channel.close()
        if not said or brought:
            text = f"{self.title} has no shell for us: {one_line(noise) or note or 'it said nothing'}"
            raise NodeError(text, hint="the user needs a POSIX login shell there")
        await self._bring()
        return await self._attend(brought=True)

    async def _bring(self) -> None:
        """Send the keeper, once for each node and each version of it."""
        channel = await self._open(_BRING, str(len(KEEPER)))
        try:
            await self.tell(channel, KEEPER)
            channel.finish()
            said, noise = await within(self._clock, _ANSWER_SECONDS, _greeting(channel), self.title)
            if said != "ready":
                note = await channel.note()
                raise NodeError(
                    f"nothing can be written on {self.title}: {note or one_line(noise) or 'it said nothing'}",
                    hint="is there room in the user's home, and may the user write there?",
                )
        finally:
            channel.close()

    async def drop(self) -> None:
        """Let go of a machine that is not there any more, without farewell."""
        for one in self._connections:
            one.ssh.abort()
        await self.aclose()

    async def aclose(self) -> None:
        """Close every channel and connection; runs go on."""
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.gather(self._refilling, return_exceptions=True)
        spares, self._spares = list(self._spares), deque()
        for spare in spares:
            spare.cancel()
        for channel in await asyncio.gather(*spares, return_exceptions=True):
            if isinstance(channel, Channel):
                channel.close()
        self._hang_up()
        connections, self._connections = self._connections, []
        for one in connections:
            one.ssh.close()
        for one in connections:
            try:
                await within(self._clock, _GOODBYE_SECONDS, one.ssh.wait_closed(), self.title)
            except NodeUnreachable:
                one.ssh.abort()


async def _greeting(channel: Channel) -> tuple[str, str]:
    """The first word of ours, empty without one; and the last line that a user's start-up files printed before it."""
    noise, size = "", 0
    while (line := await channel.line()) is not None:
        if line in ("ready", "absent"):
            return line, noise
        noise = line.strip() or noise
        if (size := size + len(line) + 1) > _LONGEST_WELCOME:
            raise channel.nonsense(noise, "a welcome without end")
    return "", noise


def _heed(task: asyncio.Task[Channel]) -> None:
    # A spare that failed is nobody's error yet: whoever needs one tries again and sees its own.
    if not task.cancelled():
        task.exception()
