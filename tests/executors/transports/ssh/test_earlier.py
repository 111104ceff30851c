"""Runs that an earlier version started behind SSH are polled, read and ended by this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.errors import StaleEpoch
from lepton_sdk.spi.executor import ExecutionState

# A client of that version: starts one run and goes.
_CLIENT = """
import asyncio, json, sys
from pathlib import Path
from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.ssh.executor import SSHExecutor
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutorContext

state, port, key, name, command, job, own = sys.argv[1:]
run = Execution(name, 1, 3, 0, Job(command, **json.loads(job)), **json.loads(own))
node = Node("ssh", "host", access=SSHAccess("127.0.0.1", user="", port=int(port), host_keys=(key,)))

async def main():
    executor = SSHExecutor(ExecutorContext(clock=SystemClock(), runs_dir=Path(state, "runs")), grace=0.5)
    await executor.start(node, run)
    await executor.aclose()

asyncio.run(main())
"""


@pytest.fixture
def begin(host: Any, server: Any, earlier_source: Path) -> Any:
    """Start a run as that version did."""

    def start(command: str, own: dict[str, Any] | None = None, **job: Any) -> Any:
        run = host.execution(command, epoch=3, **job, **(own or {}))
        host.begun.append(run)
        place = [str(host.state), str(server.port), server.host_key]
        words = [sys.executable, "-c", _CLIENT, *place, run.run_id, command, json.dumps(job), json.dumps(own or {})]
        subprocess.run(words, env=os.environ | {"PYTHONPATH": str(earlier_source)}, check=True, timeout=60)
        return run

    return start


def test_such_a_run_is_followed_to_its_end(host: Any, begin: Any, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/data").write_text("given\n")
    command = "cat data; while ! [ -e go ]; do sleep 0.02; done; echo end; exit 3"
    run = begin(command, setup="echo first", workdir=str(tmp_path / "project"))
    host.until(lambda: host.logs(run) == b"first\ngiven\n")
    assert host.poll(run).state is ExecutionState.RUNNING
    (host.folder(run) / "work/go").touch()
    status, output = host.result(run)
    assert (status.state, status.exit_code, status.reason) == (ExecutionState.FINISHED, 3, "exit")
    assert output == b"first\ngiven\nend\n"


def test_such_a_run_is_taken_over_and_never_started_again(host: Any, begin: Any) -> None:
    run = begin("echo once; while ! [ -e go ]; do sleep 0.02; done")
    host.start(host.execution("echo twice", run=run.run_id, epoch=4))
    with pytest.raises(StaleEpoch, match="epoch 3 is older than 4"):
        host.start(run)
    (host.folder(run) / "work/go").touch()
    assert host.result(run)[1] == b"once\n"


def test_such_a_run_is_cancelled(host: Any, begin: Any) -> None:
    run = begin("(setsid sleep 300 &); trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done")
    host.until(lambda: host.logs(run) == b"ready\n")
    host.cancel(run)
    status = host.poll(run)
    assert (status.state, status.exit_code, status.reason) == (ExecutionState.FINISHED, 7, "cancelled")
    assert host.none_of(run)


def test_the_lease_of_such_a_run_is_renewed_and_ends_it(host: Any, begin: Any) -> None:
    run = begin("sleep 300", {"lease": 3.0})
    for _ in range(20):
        assert host.poll(run).state in (ExecutionState.SETUP, ExecutionState.RUNNING)
        host.do(host.executor._clock.sleep(0.2))
    status = host.until(lambda: (host.folder(run) / "status").exists() and host.poll(run))
    assert "lease" in status.detail


def test_such_a_run_whose_keeper_died_is_lost_and_its_processes_end(host: Any, begin: Any) -> None:
    run = begin("setsid sleep 300 & echo ready; sleep 300")
    host.until(lambda: host.logs(run) == b"ready\n")
    os.kill(host.keeper(run), signal.SIGKILL)
    host.until(lambda: host.poll(run).state is ExecutionState.LOST)
    host.cancel(run)
    host.until(lambda: host.none_of(run))
