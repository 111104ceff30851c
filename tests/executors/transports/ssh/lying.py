"""Nodes that say anything: a connection whose other side is a script of a test, and a real SSH server that lies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepton_sdk._clock import Clock
from lepton_sdk._executors.transports.ssh.connection import Connection
from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutorContext

NODE = Node("cloud", "i-1", "token-1", access=SSHAccess("198.51.100.7"))
EXECUTION = Execution("run1", 1, 1, 0, Job("true"))
# What a verb's channel answers; ``None`` for nothing at all, ever.
Script = Callable[[str], bytes | None]


class Hasty:
    """A clock whose every wait is over soon."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10_000)


class Stream:
    """What a process says, in pieces; it ends or it never does."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._more = asyncio.Event()
        self._over = False

    def put(self, data: bytes | None) -> None:
        self._over = self._over or data == b""
        self._bytes += data or b""
        self._more.set()

    def at_eof(self) -> bool:
        return self._over and not self._bytes

    async def read(self, size: int) -> bytes:
        while not self._bytes and not self._over:
            self._more.clear()
            await self._more.wait()
        data = bytes(self._bytes[:size])
        del self._bytes[:size]
        return data


class Process:
    """The far side of one channel."""

    def __init__(self, script: Script, greeting: bytes) -> None:
        self.stdin, self.stdout, self.stderr = self, Stream(), Stream()
        self.exit_status: int | None = 0
        self.exit_signal = None
        self._script = script
        self._asked = b""
        self.closed = False
        self.stdout.put(greeting)

    def write(self, data: bytes) -> None:
        if b"\n" not in self._asked:
            self._asked += data
        if b"\n" in self._asked:
            line, _, self._asked = self._asked.partition(b"\n")
            # One channel answers many questions; on any other all is said with the first answer.
            said = self._script(line.decode().split()[0])
            self.stdout.put(said)
            if said is not None and line != b"serve" and not line.startswith((b"poll", b"lives")):
                self.stdout.put(b"")
                self.stderr.put(b"")

    async def drain(self) -> None:
        pass

    def write_eof(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Scripted:
    """A connection to a node that follows a script."""

    def __init__(self, script: Script, greeting: bytes = b"ready\n") -> None:
        self._script, self._greeting = script, greeting
        self.processes: list[Process] = []

    async def create_process(self, command: str, *, encoding: None) -> Process:
        self.processes.append(Process(self._script, self._greeting))
        return self.processes[-1]

    def is_closed(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


def reached(
    script: Script, folder: Path, greeting: bytes = b"ready\n", clock: Clock | None = None
) -> tuple[SSHExecutor, Scripted]:
    """An executor that is connected to such a node; without a clock its patience is over soon."""
    executor = SSHExecutor(ExecutorContext(clock=clock or Hasty(), runs_dir=folder / "runs"))
    connection: Any = Scripted(script, greeting)
    executor._remote(NODE)._connections.append(Connection(connection))
    return executor, connection
