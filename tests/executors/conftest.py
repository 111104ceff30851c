"""A host to run on: the real executor, real processes, and a check that no test leaves one behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.executors.process_table import marked

from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.transports.local.executor import LocalExecutor
from lepton_sdk.domain.access import LocalAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutionStatus, ExecutorContext

_ROOT = Path(__file__).parents[2]
# The last commit whose keeper on this host was a Python program.
_EARLIER = "217fb10"


class Host:
    """The local executor, one call at a time."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.node = Node("here", "this", access=LocalAccess())
        self.executor = LocalExecutor(ExecutorContext(clock=SystemClock(), runs_dir=runs), grace=0.5)
        self.begun: list[Execution] = []
        self._count = itertools.count()
        # Tests run side by side, and the mark of a run must be its own.
        self.token = os.urandom(4).hex()

    def execution(self, command: str, *, run: str | None = None, epoch: int = 1, **more: Any) -> Execution:
        own = {name: more.pop(name) for name in ("time_limit", "idle_limit", "lease", "secrets", "environment") if name in more}
        job = Job(command, secrets=list(own.get("secrets", ())), **more)
        name = run or f"run{next(self._count)}"
        return Execution(name if name.endswith(self.token) else name + self.token, 1, epoch, 0, job, **own)

    def start(self, command: str | Execution, **more: Any) -> Execution:
        execution = self.execution(command, **more) if isinstance(command, str) else command
        self.begun.append(execution)
        asyncio.run(self.executor.start(self.node, execution))
        return execution

    def poll(self, execution: Execution) -> ExecutionStatus:
        return asyncio.run(self.executor.poll(self.node, execution))

    def cancel(self, execution: Execution) -> None:
        asyncio.run(self.executor.cancel(self.node, execution))

    def logs(self, execution: Execution, offset: int = 0, *, follow: bool = False) -> bytes:
        async def read() -> bytes:
            return b"".join([piece async for piece in self.executor.logs(self.node, execution, offset, follow=follow)])

        return asyncio.run(asyncio.wait_for(read(), 30))

    def result(self, execution: Execution) -> tuple[ExecutionStatus, bytes]:
        output = self.logs(execution, follow=True)
        return self.poll(execution), output

    def folder(self, execution: Execution) -> Path:
        return self.executor.folder(execution)

    @staticmethod
    def until(holds: Callable[[], Any], limit: float = 60) -> Any:
        """Look again and again until something holds; its value."""
        end = time.monotonic() + limit
        while not (value := holds()):
            assert time.monotonic() < end, "it never came"
            time.sleep(0.01)
        return value

    def none_of(self, execution: Execution) -> bool:
        return not self.processes(execution)

    def processes(self, execution: Execution) -> set[int]:
        return marked(f"LEPTON_RUN_MARK={execution.run_id}-{execution.attempt}-{execution.rank}")

    def keeper(self, execution: Execution) -> int:
        """The process that stays with a run."""
        lines = dict(line.split(" ", 1) for line in (self.folder(execution) / "start").read_text().splitlines())
        return int(lines["pid"])

    def move(self, runs: Path) -> None:
        """Keep runs in another folder from now on."""
        self.close()
        self.executor = LocalExecutor(ExecutorContext(clock=SystemClock(), runs_dir=runs), grace=0.5)

    def close(self) -> None:
        asyncio.run(self.executor.aclose())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """The executor over a folder of its own; whatever a test started is ended after it."""
    host = Host(tmp_path / "state/runs")
    yield host
    for execution in host.begun:
        host.cancel(execution)
    for execution in host.begun:
        # Processes that were killed leave a moment later.
        host.until(partial(host.none_of, execution))
    host.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.getuid() != 0:
        pytest.skip("only root can mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="session")
def earlier_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it was then."""
    folder = tmp_path_factory.mktemp("earlier")
    made = subprocess.run(["git", "-C", str(_ROOT), "archive", _EARLIER, "src"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"git has no commit {_EARLIER} here, so no run of that version can be started")
    subprocess.run(["tar", "-xf", "-", "-C", str(folder)], input=made.stdout, check=True)
    return folder / "src"


@pytest.fixture(name="until")
def wait_until() -> Callable[..., Any]:
    """Look again and again until something holds; its value."""
    return Host.until
