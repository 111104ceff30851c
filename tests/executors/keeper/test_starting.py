"""A start happens once, whoever asks, however often, and whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._executors.keeper.orders import orders, run_path
from lepton_sdk.errors import StaleEpoch
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
    before = (host.folder(run) / "start").read_text()
    host.start(run)
    assert (host.folder(run) / "start").read_text() == before
    (host.folder(run) / "work/go").touch()
    assert host.result(run)[1] == b"once\n"
    host.start(run)
    assert host.result(run)[1] == b"once\n"
    assert (host.folder(run) / "start").read_text() == before


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
        host.until(lambda: (host.runs.parent / "in").exists() or host.folder(run).exists())
        try:
            first.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            first.kill()
    host.start(run)
    status, output = host.result(run)
    assert (status.exit_code, output) == (0, b"out\n")
    assert (tmp_path / "starts").read_text() == "x\n"


def test_a_keeper_that_gets_half_its_orders_claims_nothing(host: Any) -> None:
    run = shared(host)
    half = orders(run, 0.5).removesuffix(b"#end\n")
    assert host.executor._shell.start(f"{run_path(run)} -", half) == []
    assert host.poll(run).state is ExecutionState.ABSENT


def test_a_keeper_whose_client_died_before_it_could_answer_goes_on(host: Any) -> None:
    run = shared(host, "echo out; trap | grep -c PIPE")
    said = b"keep %s -\n" % run_path(run).encode() + orders(run, 0.5)
    with host.executor._shell._keeper([], stderr=subprocess.DEVNULL) as keeper:
        assert keeper.stdout.readline() == b"ready\n"
        keeper.stdout.close()
        keeper.stdin.write(said)
        keeper.stdin.close()
        assert host.result(run)[1] == b"out\n0\n"


def test_the_client_keeps_no_zombie(host: Any) -> None:
    def children() -> set[str]:
        return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}

    # Servers that other tests of this process keep for the session are children as well.
    before = children()
    run = host.start("true")
    host.result(run)
    # The one that answers questions ends with its client.
    host.close()
    assert children() <= before
