"""A command that fails is started again where it ran, as often as the job allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lepton_sdk.spi.executor import ExecutionState


def test_a_command_that_fails_is_started_again_in_its_folder(host: Any) -> None:
    command = 'echo "try $LEPTON_JOB_FAILURE_COUNT" | tee -a tries; test $(wc -l <tries) = 3 || exit $(wc -l <tries)'
    environment = {"LEPTON_JOB_FAILURE_COUNT": "4"}
    run = host.start(command, setup="echo once", max_failure_retry=5, environment=environment)
    status, output = host.result(run)
    assert (status.exit_code, status.reason, status.failures) == (0, "exit", (1, 2))
    ours = [line for line in output.decode().splitlines() if not line.startswith("lepton: ")]
    assert ours == ["once", "try 4", "try 5", "try 6"]
    assert b"lepton: the command ended with exit code 2; start 2 of 5 more in 2 s\n" in output


def test_the_last_failure_is_the_end(host: Any) -> None:
    run = host.start("kill -KILL $$", max_failure_retry=1)
    status, _ = host.result(run)
    assert (status.state, status.exit_code, status.signal) == (ExecutionState.FINISHED, 137, "SIGKILL")
    assert status.failures == (137,)


def test_failures_are_told_while_it_goes_on(host: Any) -> None:
    run = host.start("test -e again && sleep 300; touch again; exit 3", max_failure_retry=3)
    host.until(lambda: host.poll(run).failures == (3,))
    assert host.poll(run).state is ExecutionState.RUNNING
    host.cancel(run)
    assert (host.poll(run).reason, host.poll(run).failures) == ("cancelled", (3,))


def test_a_pause_ends_when_the_run_is_told_to_stop(host: Any) -> None:
    run = host.start("echo ready >>begun; exit 3", max_failure_retry=100)
    host.until(lambda: len(host.poll(run).failures) == 4)
    host.cancel(run)
    assert host.poll(run).reason == "cancelled"
    assert (host.folder(run) / "work/begun").read_text() == "ready\n" * 4
    run = host.start("exit 3", max_failure_retry=100, time_limit=2)
    assert host.result(run)[0].reason == "timeout"


def test_what_a_failed_command_leaves_ends_and_what_setup_began_lives_on(host: Any) -> None:
    setup = "sleep 300 & echo $! >service"
    command = "if [ -e left ]; then echo again; while ! [ -e go ]; do sleep 0.02; done; exit 0; fi\n"
    command += "sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $! >left; exit 1"
    run = host.start(command, setup=setup, max_failure_retry=1)
    host.until(lambda: b"again\n" in host.logs(run))
    work = Path(host.folder(run), "work")
    left, service = (int((work / name).read_text()) for name in ("left", "service"))
    host.until(lambda: not _alive(left))
    assert _alive(service)
    (work / "go").touch()
    status, _ = host.result(run)
    assert (status.exit_code, status.failures) == (0, (1,))
    assert not _alive(service)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_setup_is_not_tried_again(host: Any) -> None:
    status, _ = host.result(host.start("true", setup="exit 4", max_failure_retry=3))
    assert (status.exit_code, status.reason, status.failures) == (4, "setup", ())
