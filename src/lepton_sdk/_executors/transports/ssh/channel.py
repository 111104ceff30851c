"""One channel to the keeper on a node: bytes both ways, and its answers line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lepton_sdk._executors.transports.ssh.deadline import within
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import LeptonError, NodeGarbled, NodeUnreachable
from lepton_sdk.spi.executor import CommandResult

if TYPE_CHECKING:
    import asyncssh

    from lepton_sdk._clock import Clock
    from lepton_sdk._executors.transports.ssh.connection import Connection

__all__ = ["LONGEST_ANSWER", "Channel", "unreachable"]

_HINT = "what runs there goes on; it is asked again"
# All that the keeper says to one question is far shorter.
LONGEST_ANSWER, _LONGEST_LINE = 1 << 20, 1 << 16
_LONGEST_OUTPUT = 16 << 20
_LONGEST_NOTE = 2000
_BLOCK = 1 << 16
# A process that has closed its output has nothing more to do than to end.
_END_SECONDS, _NOTE_SECONDS = 10.0, 5.0


@contextmanager
def unreachable(where: str, *, besides: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Turn what a broken connection raises into `NodeUnreachable`, ``besides`` one kind.

    Bytes of the other side are read by a library: whatever it stumbles over there counts as a broken connection.
    """
    try:
        yield
    except LeptonError:
        raise
    except Exception as error:
        if isinstance(error, besides):
            raise
        text = one_line(str(error)) or type(error).__name__
        raise NodeUnreachable(
            f"the connection to {where} broke: {text}", hint="the run goes on there; it is asked again"
        ) from error


class Channel:
    """A process of the node's shell, as the other end of a pipe. What comes out of it is held within bounds.

    Args:
        where: the node's name for messages.
        connection: the one that it runs on, which counts its channels.
    """

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], where: str, connection: Connection, clock: Clock) -> None:
        self._process = process
        self._where = where
        self._connection = connection
        self._clock = clock
        # What came with an answer and is not read yet, and where it goes on.
        self._rest, self._at = b"", 0
        self._closed = False

    @property
    def open(self) -> bool:
        """Whether nothing is known that speaks against using it."""
        return not (self._closed or self._process.is_closing() or self._process.stdout.at_eof())

    async def send(self, data: bytes) -> None:
        """Send bytes; waits while the node does not take them."""
        with unreachable(self._where):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        with unreachable(self._where):
            self._process.stdin.write_eof()

    async def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; nothing at the end.

        Raises:
            NodeUnreachable: the connection broke, which must never be taken for the end.
        """
        if data := self._rest[self._at : self._at + size]:
            self._at += len(data)
            return data
        with unreachable(self._where):
            data = await self._process.stdout.read(size)
            if not data:
                await self._end()
            return data

    async def line(self, most: int = _LONGEST_LINE) -> str | None:
        """The next line of an answer without its end; ``None`` when there is none.

        Raises:
            NodeUnreachable: the connection broke, or the line has no end within ``most`` bytes.
        """
        begun = b""
        while (end := self._rest.find(b"\n", self._at)) < 0:
            begun += self._rest[self._at :]
            self._rest, self._at = b"", 0
            if len(begun) > most:
                raise self.nonsense(begun, "a line without end")
            if not (more := await self.read(_BLOCK)):
                return None
            self._rest = more
        begun += self._rest[self._at : end]
        self._at = end + 1
        if len(begun) > most:
            raise self.nonsense(begun, "a line without end")
        return begun.decode(errors="replace")

    def nonsense(self, said: bytes | str, what: str = "what makes no sense") -> NodeUnreachable:
        """The error for an answer that is none. The connection ends with it: who talks without end may never stop by himself."""
        self._connection.ssh.abort()
        return NodeGarbled(f"{self._where} answered with {what}: {one_line(said, 100)!r}", hint=_HINT)

    async def _end(self) -> None:
        await within(self._clock, _END_SECONDS, self._process.wait_closed(), self._where)
        if self._process.exit_status is None and self._process.exit_signal is None:
            raise NodeUnreachable(f"the connection to {self._where} broke", hint=_HINT)

    async def answer(self, most: int = LONGEST_ANSWER) -> list[str]:
        """The lines of an answer, up to the line that ends it.

        Raises:
            NodeUnreachable: it broke off, or goes on beyond ``most`` bytes.
        """
        lines: list[str] = []
        size = 0
        while (line := await self.line()) != ".":
            if line is None:
                note = await self.note()
                raise NodeUnreachable(f"{self._where} broke its answer off: {note or 'it said nothing'}", hint=_HINT)
            # A line costs more than its bytes.
            size += len(line) + 64
            if size > most + _LONGEST_LINE:
                raise self.nonsense(line, "more than anybody asked for")
            lines.append(line)
        return lines

    async def whole(self, data: bytes) -> CommandResult:
        """Send ``data`` and the end of it, then take all that the process says until it has ended.

        Raises:
            NodeUnreachable: the connection broke before the end, or the process said more than a short command does.
        """
        with unreachable(self._where):
            # A script that reads nothing may have ended before anything was sent; what it said counts all the same.
            with suppress(BrokenPipeError):
                self._process.stdin.write(data)
                self._process.stdin.write_eof()
            both = self._all_of(self._process.stdout), self._all_of(self._process.stderr)
            output, errors = await asyncio.gather(*both)
            await self._end()
        code = None if self._process.exit_signal else self._process.exit_status
        return CommandResult(code, output, errors)

    async def _all_of(self, stream: asyncssh.SSHReader[bytes]) -> bytes:
        found = bytearray()
        while more := await stream.read(_BLOCK):
            found += more
            if len(found) > _LONGEST_OUTPUT:
                # The other stream may never end.
                self._process.close()
                raise self.nonsense(bytes(found[:200]), "more than a short command says")
        return bytes(found)

    async def note(self, most: int = _LONGEST_NOTE) -> str:
        """What the other side has put on its error output, in one line."""
        with suppress(NodeUnreachable), unreachable(self._where):
            text = await within(self._clock, _NOTE_SECONDS, self._process.stderr.read(most), self._where)
            return one_line(text, most)
        return ""

    async def aside(self, kept: bytearray, most: int) -> None:
        """Take all that comes on the error output, to its end, and keep the first ``most`` bytes."""
        with unreachable(self._where):
            while more := await self._process.stderr.read(_BLOCK):
                kept += more[: most - len(kept)]

    def close(self) -> None:
        """Let go of it; the process on the other side sees the end of its input."""
        if not self._closed:
            self._closed = True
            self._connection.channels -= 1
            self._connection.left += self._process.exit_status is None and self._process.exit_signal is None
            # The connection may have ended in any way.
            with suppress(Exception):
                self._process.close()
