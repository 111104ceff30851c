"""A real SSH server that lets everybody in, and whose shell is a coroutine of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from lepton_sdk._clock import SystemClock

if TYPE_CHECKING:
    import asyncssh

Shell = Callable[["asyncssh.SSHServerProcess[bytes]"], Awaitable[None]]


class Sped(SystemClock):
    """A clock whose half minute is over in half a second, or sooner."""

    def __init__(self, times: float = 60) -> None:
        self._times = times

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._times)


async def serve(shell: Shell) -> tuple[Any, int]:
    """Start one on loopback: the server and its port."""
    import asyncssh

    class Open(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            await shell(process)
            process.exit(0)
        except (asyncssh.Error, OSError):
            # Whom it spoke to has hung up.
            process.close()

    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(Open, "127.0.0.1", 0, server_host_keys=[key], process_factory=handle, encoding=None)
    return server, server.sockets[0].getsockname()[1]


async def keeper(process: asyncssh.SSHServerProcess[bytes]) -> str:
    """Greet as a node's keeper does; the verb that is called."""
    process.stdout.write(b"ready\n")
    return (await process.stdin.readline()).decode().split(" ")[0].strip()


async def endless(process: asyncssh.SSHServerProcess[bytes], piece: bytes) -> None:
    """Say one thing again and again."""
    while True:
        process.stdout.write(piece)
        await process.stdout.drain()


async def trickle(process: asyncssh.SSHServerProcess[bytes], piece: bytes = b"x") -> None:
    """Say one thing again and again, slowly."""
    while True:
        process.stdout.write(piece)
        await process.stdout.drain()
        await asyncio.sleep(0.05)
