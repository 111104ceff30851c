"""A start happens once, whoever asks, however often, and whoever dies meanwhile."""

from __future__ import annotations

import marshal
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._executors.launch import FolderLock, job_environment
from lepton_sdk._executors.record import read_json
from lepton_sdk.errors import NodeUnreachable, StaleEpoch
from lepton_sdk.spi.executor import ExecutionState

# A client of its own: starts one run, says so, and follows its log until it is killed.
CLIENT = """
import asyncio, sys
from pathlib import Path
from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.transports.local.executor import LocalExecutor
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutorContext

name, runs, workdir, command, epoch = sys.argv[1:]
run = Execution(name, 1, int(epoch), 0, Job(command, workdir=workdir or None))
executor = LocalExecutor(ExecutorContext(clock=SystemClock(), runs_dir=Path(runs)))

async def main():
    await executor.start(Node("here", "this"), run)
    print("started", flush=True)
    async for piece in executor.logs(Node("here", "this"), run, follow=True):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()

asyncio.run(main())
"""


def client(host: Any, command: str, workdir: Path | str = "", epoch: int = 1) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", CLIENT, f"shared{host.token}", str(host.runs), str(workdir), command, str(epoch)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def shared(host: Any, command: str = "true", epoch: int = 1) -> Any:
    run = host.execution(command, run="shared", epoch=epoch)
    host.begun.append(run)
    return run


def test_job_outlives_a_client_that_is_killed_and_another_takes_its_log_and_result(host: Any) -> None:
    command = "i=0; while ! [ -e go ]; do echo $i; i=$((i+1)); sleep 0.01; done; echo end; exit 9"
    run = shared(host, command)
    with client(host, command) as first:
        assert first.stdout is not None
        assert [first.stdout.readline() for _ in range(3)] == [b"started\n", b"0\n", b"1\n"]
        first.kill()
    offset = len(b"0\n1\n")
    host.until(lambda: b"\n20\n" in host.logs(run))
    assert host.poll(run).state is ExecutionState.RUNNING
    assert host.logs(run, offset).startswith(b"2\n3\n")
    (host.folder(run) / "work/go").touch()
    status, output = host.result(run)
    assert (status.exit_code, output[-5:]) == (9, b"\nend\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_to_the_clients_group_do_not_reach_the_job(host: Any, number: signal.Signals) -> None:
    command = "while ! [ -e go ]; do sleep 0.01; done; exit 3"
    run = shared(host, command)
    argv = [sys.executable, "-c", CLIENT, f"shared{host.token}", str(host.runs), "", command, "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"started\n"
        os.killpg(first.pid, number)
        first.wait(10)
    (host.folder(run) / "work/go").touch()
    assert host.result(run)[0].exit_code == 3


def test_second_start_changes_nothing(host: Any) -> None:
    run = host.start("echo once; while ! [ -e go ]; do sleep 0.01; done", run="shared")
    before = read_json(host.folder(run) / "start.json")
    host.start(run)
    assert read_json(host.folder(run) / "start.json") == before
    (host.folder(run) / "work/go").touch()
    assert host.result(run)[1] == b"once\n"
    host.start(run)
    assert host.result(run)[1] == b"once\n"
    assert read_json(host.folder(run) / "start.json") == before


def test_many_processes_that_start_the_same_run_start_it_once(host: Any, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    for n in range(200):
        (tmp_path / f"project/{n}").write_text("x")
    command = f"echo $$ >> {tmp_path}/starts; ls | wc -l"
    run = shared(host, command)
    clients = [client(host, command, tmp_path / "project") for _ in range(4)]
    outputs = {process.communicate(timeout=30)[0] for process in clients}
    assert outputs == {b"started\n200\n"}
    assert len((tmp_path / "starts").read_text().splitlines()) == 1
    assert host.poll(run).exit_code == 0


def test_older_epoch_is_refused_and_changes_nothing(host: Any) -> None:
    newer = host.start("echo newer", run="shared", epoch=5)
    with pytest.raises(StaleEpoch, match=r"epoch 4 is older than 5"):
        host.start("echo older", run="shared", epoch=4)
    assert host.result(newer)[1] == b"newer\n"


def test_newer_epoch_takes_over_what_runs_and_fences_the_older_off(host: Any) -> None:
    older = host.start("echo first; while ! [ -e go ]; do sleep 0.01; done", run="shared", epoch=1)
    newer = host.start("echo second", run="shared", epoch=2)
    with pytest.raises(StaleEpoch):
        host.start(older)
    host.until(lambda: host.poll(newer).state is ExecutionState.RUNNING)
    (host.folder(newer) / "work/go").touch()
    assert host.result(newer)[1] == b"first\n"


def test_other_attempts_and_ranks_are_runs_of_their_own(host: Any) -> None:
    from attrs import evolve

    first = host.start("echo $LEPTON_RUN_MARK", run="shared")
    second, third = evolve(first, attempt=2), evolve(first, rank=1)
    for run in (second, third):
        host.start(run)
    assert [host.result(run)[1] for run in (first, second, third)] == [
        f"{first.run_id}-{place}\n".encode() for place in ("1-0", "2-0", "1-1")
    ]


def test_client_that_dies_before_the_claim_leaves_nothing_that_lies(host: Any, tmp_path: Path) -> None:
    # What such a client leaves: a half copy, and a lock that is free again.
    run = shared(host, "ls")
    work = host.folder(run) / "work"
    work.mkdir(parents=True)
    (work / "half").touch()
    assert host.poll(run).state is ExecutionState.ABSENT
    host.start(run)
    assert host.result(run)[1] == b""


@pytest.mark.parametrize("delay", [0, 5, 10, 20, 40, 80])
def test_client_killed_at_any_moment_of_a_start(host: Any, delay: int, tmp_path: Path) -> None:
    command = f"echo x >> {tmp_path}/starts; echo out"
    run = shared(host, command)
    with client(host, command) as first:
        # The instant differs by delay; whatever was reached by then, the next client must find one truth.
        lock = host.folder(run).with_name("1-0.lock")
        host.until(lambda: lock.exists())
        try:
            first.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            first.kill()
    host.start(run)
    status, output = host.result(run)
    assert (status.exit_code, output) == (0, b"out\n")
    assert (tmp_path / "starts").read_text() == "x\n"


def keep(folder: Path, orders: bytes, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    """Start the keeper as a client would, with other orders or streams."""
    (folder / "work").mkdir(parents=True)
    with FolderLock(folder) as lock:
        program = str(Path(sys.modules[FolderLock.__module__].__file__ or "").with_name("_shim.py"))
        argv = [sys.executable, "-I", "-S", program, str(folder), str(lock.fd)]
        return subprocess.run(argv, input=orders, pass_fds=(lock.fd,), timeout=20, check=False, **streams)


def orders(run: Any) -> bytes:
    environment = job_environment(run, {})
    more = {"setup": None, "running": run.job.command, "epoch": 1, "time_limit": None, "grace": 0.5}
    return marshal.dumps({"environment": environment, "mark": environment["LEPTON_RUN_MARK"], **more})


def test_keeper_that_gets_half_its_orders_claims_nothing(host: Any) -> None:
    run = shared(host)
    done = keep(host.folder(run), orders(run)[:-1], capture_output=True)
    assert done.returncode != 0
    assert done.stdout == b""
    assert host.poll(run).state is ExecutionState.ABSENT


def test_keeper_whose_client_died_before_it_could_answer_goes_on(host: Any) -> None:
    run = shared(host, "echo out")
    reader, writer = os.pipe()
    os.close(reader)
    keep(host.folder(run), orders(run), stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    host.until(lambda: host.poll(run).state is not ExecutionState.ABSENT)
    assert host.result(run)[1] == b"out\n"


def test_keeper_that_cannot_come_up_is_an_error_and_leaves_nothing(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    run = host.execution("true")
    with pytest.raises(NodeUnreachable, match="did not come up"):
        host.start(run)
    assert not host.folder(run).exists()


def test_the_client_keeps_no_zombie(host: Any) -> None:
    def children() -> set[str]:
        return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}

    # Servers that other tests of this process keep for the session are children as well.
    before = children()
    run = host.start("true")
    host.result(run)
    assert children() <= before
