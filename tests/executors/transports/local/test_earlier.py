"""Runs that an earlier version started are polled, read and ended by this one; a process id is never trusted alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._executors.keeper.status import read_answer
from lepton_sdk._executors.transports.local import earlier
from lepton_sdk.errors import JobCancelled, NodeGarbled, StaleEpoch
from lepton_sdk.spi.executor import ExecutionState

# A client of that version: starts one run and goes.
_CLIENT = """
import asyncio, json, sys
from pathlib import Path
from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.local import LocalExecutor
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutorContext

runs, name, command, more = sys.argv[1:]
run = Execution(name, 1, 3, 0, Job(command, **json.loads(more)))
executor = LocalExecutor(ExecutorContext(clock=SystemClock(), runs_dir=Path(runs)), grace=0.5)
asyncio.run(executor.start(Node("here", "this"), run))
"""


@pytest.fixture
def begin(host: Any, earlier_source: Path) -> Any:
    """Start a run as that version did."""

    def start(command: str, **job: Any) -> Any:
        run = host.execution(command, epoch=3, **job)
        host.begun.append(run)
        words = [sys.executable, "-c", _CLIENT, str(host.runs), run.run_id, command, json.dumps(job)]
        subprocess.run(words, env=os.environ | {"PYTHONPATH": str(earlier_source)}, check=True, timeout=60)
        assert (host.folder(run) / "start.json").exists()
        return run

    return start


def test_such_a_run_is_followed_to_its_end(host: Any, begin: Any) -> None:
    run = begin("echo ready; while ! [ -e go ]; do sleep 0.02; done; echo end; exit 3", setup="echo first")
    host.until(lambda: host.logs(run) == b"first\nready\n")
    status = host.poll(run)
    assert (status.state, status.started_at is not None) == (ExecutionState.RUNNING, True)
    (host.folder(run) / "work/go").touch()
    status, output = host.result(run)
    assert (status.state, status.exit_code, status.reason) == (ExecutionState.FINISHED, 3, "exit")
    assert output == b"first\nready\nend\n"
    assert status.started_at <= status.finished_at


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
    assert host.logs(run).endswith(b"bye\n")
    host.until(lambda: host.none_of(run))
    host.cancel(run)
    assert host.poll(run) == status


def test_such_a_run_whose_keeper_died_is_lost_and_its_processes_end(host: Any, begin: Any) -> None:
    run = begin("setsid sleep 300 & echo ready; sleep 300")
    host.until(lambda: host.logs(run) == b"ready\n")
    os.kill(json.loads((host.folder(run) / "start.json").read_text())["pid"], signal.SIGKILL)
    host.until(lambda: host.poll(run).state is ExecutionState.LOST)
    assert not host.none_of(run)
    host.cancel(run)
    host.until(lambda: host.none_of(run))


def test_failures_and_signals_are_told_as_then(host: Any, begin: Any) -> None:
    run = begin("kill -KILL $$", max_failure_retry=1)
    status, _ = host.result(run)
    assert (status.exit_code, status.signal, status.failures) == (137, "SIGKILL", (137,))


def test_a_cancellation_of_then_forbids_the_start(host: Any) -> None:
    run = host.execution("true", epoch=2)
    host.folder(run).mkdir(parents=True)
    (host.folder(run) / "cancel").write_text("2")
    with pytest.raises(JobCancelled):
        host.start(run)
    again = host.start(host.execution("echo again", run=run.run_id, epoch=3))
    assert host.result(again)[1] == b"again\n"


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def record(folder: Path, pid: int, changes: dict[str, object] | None = None) -> Path:
    born = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = {"pid": pid, "born": born, "boot": boot, "started_at": 1.8e9, "grace": 1.0} | (changes or {})
    (folder / "start.json").write_text(json.dumps(start))
    return folder


def state(folder: Path) -> ExecutionState:
    from datetime import UTC, datetime

    return read_answer(earlier.answer(folder), datetime.now(UTC)).state


def test_the_same_process_is_alive_and_is_reached(innocent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert state(record(tmp_path, innocent.pid)) is ExecutionState.SETUP
    assert earlier.signal_keeper(tmp_path, signal.SIGTERM)
    assert innocent.wait(10) == -signal.SIGTERM
    assert state(tmp_path) is ExecutionState.LOST


@pytest.mark.parametrize("changes", [{"born": 1}, {"boot": "another"}, {"pid": None}, {"pid": 2**40}, {"pid": 2**22 + 1}])
def test_recycled_pid_is_never_signalled(innocent: subprocess.Popen[bytes], changes: dict[str, object], tmp_path: Path) -> None:
    assert state(record(tmp_path, innocent.pid, changes)) is ExecutionState.LOST
    assert not earlier.signal_keeper(tmp_path, signal.SIGKILL)
    assert innocent.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "[" * 100_000])
def test_a_damaged_record_is_a_loss_and_never_a_second_start(host: Any, text: str) -> None:
    run = host.execution("echo never")
    host.folder(run).mkdir(parents=True)
    (host.folder(run) / "start.json").write_text(text)
    assert host.poll(run).state is ExecutionState.LOST
    host.start(run)
    assert host.logs(run) == b""


@pytest.mark.parametrize("key", ["state", "code", "reason", "failures", "detail", "finished_at"])
def test_one_field_that_is_wrong_is_no_traceback(key: str, innocent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    good = {"state": "finished", "code": 3, "reason": "exit", "failures": [], "detail": "", "finished_at": 1.8e9}
    record(tmp_path, innocent.pid)
    evils: list[object] = [None, "", "abc", -1, 1e300, 10**40, True, [], {}, ["x"] * 3, "\x1b[2J\nlives", float("nan")]
    for evil in evils:
        (tmp_path / "status.json").write_text(json.dumps(good | {key: evil}))
        try:
            found = state(tmp_path)
        except NodeGarbled:
            continue
        assert isinstance(found, ExecutionState)


def test_cancelling_beside_a_pipe_in_the_place_of_a_record_ends(host: Any, tmp_path: Path) -> None:
    run = host.execution("true")
    host.folder(run).mkdir(parents=True)
    os.mkfifo(host.folder(run) / "start.json")
    assert host.poll(run).state is ExecutionState.LOST
    asyncio.run(asyncio.wait_for(host.executor.cancel(host.node, run), 30))
