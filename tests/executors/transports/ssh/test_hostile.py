"""Over a real connection to a real server that lies: bounded in time and memory, and nothing is left open."""

from __future__ import annotations

import asyncio
import itertools
import resource
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.executors.transports.ssh.hostile import Shell, Sped, endless, keeper, serve, trickle

from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import LeptonError, NodeError, NodeUnreachable
from lepton_sdk.spi.executor import Execution, ExecutorContext, Fetched

pytest.importorskip("asyncssh")
_EXECUTION = Execution("run1", 1, 1, 0, Job("true"))
_COUNT = itertools.count()
Call = Callable[[SSHExecutor, Node], Awaitable[Any]]


def against(shell: Shell, call: Call, folder: Path, clock: Any = None) -> Any:
    """What a call gives at such a server, or its error."""

    async def asked() -> Any:
        server, port = await serve(shell)
        executor = SSHExecutor(ExecutorContext(clock=clock or Sped(), runs_dir=folder / "runs"))
        # Each is another machine, with a key of its own.
        node = Node("cloud", f"i-{port}", f"token-{next(_COUNT)}", access=SSHAccess("127.0.0.1", "root", port))
        try:
            return await call(executor, node)
        except LeptonError as error:
            return error
        finally:
            await executor.aclose()
            server.close()
            await server.wait_closed()

    return asyncio.run(asyncio.wait_for(asked(), 60))


async def poll(executor: SSHExecutor, node: Node) -> Any:
    return await executor.poll(node, _EXECUTION)


async def start(executor: SSHExecutor, node: Node) -> None:
    await executor.start(node, _EXECUTION)


async def cancel(executor: SSHExecutor, node: Node) -> None:
    await executor.cancel(node, _EXECUTION)


async def log(executor: SSHExecutor, node: Node) -> int:
    return sum([len(piece) async for piece in executor.logs(node, _EXECUTION)])


async def command(executor: SSHExecutor, node: Node) -> Any:
    return await executor.command(node, "true")


def after_greeting(say: Callable[[Any], Awaitable[None]]) -> Shell:
    async def shell(process: Any) -> None:
        await keeper(process)
        await say(process)

    return shell


_LIES: dict[str, Shell] = {
    "endless-line": lambda process: endless(process, b"x" * 65536),
    "endless-lines": lambda process: endless(process, b"x\n" * 32768),
    "endless-line-after-greeting": after_greeting(lambda process: endless(process, b"x" * 65536)),
    "endless-lines-after-greeting": after_greeting(lambda process: endless(process, b"x\n" * 32768)),
    "trickle": trickle,
    "trickle-of-lines": after_greeting(lambda process: trickle(process, b"x\n")),
    "silent": lambda _: asyncio.sleep(60),
    "silent-after-greeting": after_greeting(lambda _: asyncio.sleep(60)),
}


@pytest.mark.parametrize("lie", _LIES)
def test_what_never_ends_is_a_node_that_says_nothing_of_use(lie: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for call in (poll, start, cancel):
        found = against(_LIES[lie], call, tmp_path)
        assert isinstance(found, NodeError), found
        assert "host key" not in found.message
        assert len(found.message) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_a_log_that_nobody_sends_is_not_waited_for(tmp_path: Path) -> None:
    assert isinstance(against(_LIES["silent-after-greeting"], log, tmp_path), NodeUnreachable)


def test_a_short_command_says_no_more_than_fits(tmp_path: Path) -> None:
    assert isinstance(against(_LIES["endless-line"], command, tmp_path), NodeUnreachable)

    async def beside(process: Any) -> None:
        while True:
            process.stderr.write(b"e" * 65536)
            await process.stderr.drain()

    assert isinstance(against(beside, command, tmp_path), NodeUnreachable)


# --- files --------------------------------------------------------------------------------------------------------------


def test_lists_that_never_end(tmp_path: Path) -> None:
    async def fetch(executor: SSHExecutor, node: Node) -> Any:
        return await executor.fetch(node, _EXECUTION, ["*"], tmp_path / "got", most=1 << 20)

    for lie in ("endless-line-after-greeting", "silent-after-greeting"):
        assert isinstance(against(_LIES[lie], fetch, tmp_path), NodeUnreachable)
    trickled = after_greeting(lambda process: trickle(process, b"./a\0"))
    assert isinstance(against(trickled, fetch, tmp_path), NodeUnreachable)


def _lists(*names: bytes) -> bytes:
    return b"".join(b"./" + name + b"\0" for name in names) + b"\0\0.\0"


def _header(name: bytes, size: int, *, content: bytes = b"") -> bytes:
    from lepton_sdk._executors.workdir import tar

    return tar.entry(b"./" + name, tar.FILE, 0o644, size=size, mtime=1) + content + (b"\0" * (-len(content) % 512))


@pytest.mark.parametrize("how", ["endless", "trickle", "silent"])
def test_an_archive_that_never_ends_can_be_cancelled_at_any_time(how: str, tmp_path: Path) -> None:
    target = tmp_path / "got"

    async def shell(process: Any) -> None:
        if await keeper(process) == "list":
            process.stdout.write(_lists(b"a", b"b"))
            return
        process.stdout.write(_header(b"a", 3, content=b"one") + _header(b"b", 1 << 30))
        if how == "silent":
            await asyncio.sleep(60)
        await (endless(process, b"x" * 65536) if how == "endless" else trickle(process))

    async def cancelled(executor: SSHExecutor, node: Node) -> list[str]:
        task = asyncio.ensure_future(executor.fetch(node, _EXECUTION, ["*"], target))
        while not (target / "a").exists() or not list(target.glob(".lepton-*")):  # noqa: ASYNC110 - a file of another thread
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (remote,) = executor._remotes.values()
        # The spare ones wait ready for other calls.
        assert sum(line.channels for line in remote._connections) <= 3
        return sorted(path.name for path in target.iterdir())

    assert against(shell, cancelled, tmp_path, SystemClock()) == ["a"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]


def test_what_came_before_the_connection_broke_stays_and_the_rest_is_named(tmp_path: Path) -> None:
    async def shell(process: Any) -> None:
        if await keeper(process) == "list":
            process.stdout.write(_lists(b"a", b"b", b"c"))
            return
        process.stdout.write(_header(b"a", 3, content=b"one") + _header(b"b", 3000, content=b"half"))
        await process.stdout.drain()
        await asyncio.sleep(0.2)
        process.channel.get_connection().abort()
        await asyncio.sleep(60)

    async def fetch(executor: SSHExecutor, node: Node) -> Any:
        return await executor.fetch(node, _EXECUTION, ["*"], tmp_path / "got")

    found = against(shell, fetch, tmp_path, SystemClock())
    assert isinstance(found, Fetched)
    assert found.paths == ("a",)
    assert [path for path, _ in found.missing] == ["b", "c"]
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["a"]


def test_a_sparse_file_costs_no_more_than_may_be_written(tmp_path: Path) -> None:
    async def shell(process: Any) -> None:
        verb = await keeper(process)
        if verb == "list":
            process.stdout.write(_lists(b"a-bomb", b"b-good"))
        elif verb == "pack":
            names = await process.stdin.read()
            if b"a-bomb" in names:
                process.stdout.write(_header(b"a-bomb", 1 << 40))
            else:
                process.stdout.write(_header(b"b-good", 4, content=b"fine") + bytes(1024))

    async def fetch(executor: SSHExecutor, node: Node) -> Any:
        return await executor.fetch(node, _EXECUTION, ["*"], tmp_path / "got", most=1 << 20)

    found = against(shell, fetch, tmp_path, SystemClock())
    assert found.paths == ("b-good",)
    ((path, why),) = found.missing
    assert (path, "do not fit" in why) == ("a-bomb", True)


@pytest.mark.parametrize("lie", ["endless-line", "silent-after-greeting"])
def test_asking_again_and_again_takes_no_more_memory(lie: str, tmp_path: Path) -> None:
    held: list[int] = []

    async def asked(executor: SSHExecutor, node: Node) -> None:
        for _ in range(100):
            with pytest.raises(NodeError):
                await executor.poll(node, _EXECUTION)
            (remote,) = executor._remotes.values()
            held.append(sum(line.channels + line.left for line in remote._connections))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    against(_LIES[lie], asked, tmp_path, Sped(3000))
    assert len(held) == 100
    assert max(held) < 80
    # Two MiB for each channel that is left would be more.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 << 10
