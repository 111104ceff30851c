"""One channel to the keeper on a node: bytes both ways, and its answers line by line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import CommandResult

if TYPE_CHECKING:
    import asyncssh

    from lepton_sdk._executors.ssh.line import Line

__all__ = ["Channel", "unreachable"]

_LONGEST_NOTE = 2000
_HINT = "what runs there goes on; it is asked again"


@contextmanager
def unreachable(where: str, *, besides: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Turn what a broken connection raises into `NodeUnreachable`, ``besides`` one kind."""
    import asyncssh

    try:
        yield
    except besides:
        raise
    except (asyncssh.Error, OSError) as error:
        text = str(error) or type(error).__name__
        raise NodeUnreachable(
            f"the connection to {where} broke: {text}", hint="the run goes on there; it is asked again"
        ) from error


class Channel:
    """A process of the node's shell, as the other end of a pipe.

    Args:
        where: the node's name for messages.
        line: the connection that it runs on, which counts its channels.
    """

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], where: str, line: Line) -> None:
        self._process = process
        self._where = where
        self._line = line
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
        with unreachable(self._where):
            data = await self._process.stdout.read(size)
            if not data:
                await self._end()
            return data

    async def line(self) -> str | None:
        """The next line of an answer without its end; ``None`` when there is none.

        Raises:
            NodeUnreachable: the connection broke.
        """
        with unreachable(self._where):
            data = await self._process.stdout.readline()
            if data.endswith(b"\n"):
                return data[:-1].decode(errors="replace")
            await self._end()
            return None

    async def _end(self) -> None:
        await self._process.wait_closed()
        if self._process.exit_status is None and self._process.exit_signal is None:
            raise NodeUnreachable(f"the connection to {self._where} broke", hint=_HINT)

    async def answer(self) -> list[str]:
        """The lines of an answer, up to the line that ends it."""
        lines: list[str] = []
        while (line := await self.line()) != ".":
            if line is None:
                raise NodeUnreachable(f"{self._where} broke its answer off: {await self.note() or 'it said nothing'}")
            lines.append(line)
        return lines

    async def whole(self, data: bytes) -> CommandResult:
        """Send ``data`` and the end of it, then take all that the process says until it has ended.

        Raises:
            NodeUnreachable: the connection broke before the end.
        """
        with unreachable(self._where):
            # A script that reads nothing may have ended before anything was sent; what it said counts all the same.
            with suppress(BrokenPipeError):
                self._process.stdin.write(data)
                self._process.stdin.write_eof()
            output, errors = await self._process.communicate()
            await self._end()
        code = None if self._process.exit_signal else self._process.exit_status
        return CommandResult(code, output or b"", errors or b"")

    async def note(self) -> str:
        """What the other side has put on its error output, in one line."""
        with suppress(NodeUnreachable), unreachable(self._where):
            text = await self._process.stderr.read(_LONGEST_NOTE)
            return " ".join(text.decode(errors="replace").split())
        return ""

    def close(self) -> None:
        """Let go of it; the process on the other side sees the end of its input."""
        if not self._closed:
            self._closed = True
            self._line.channels -= 1
            self._process.close()
