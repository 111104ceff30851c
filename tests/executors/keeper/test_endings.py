"""However a run ends, no process of it is left, and the record says why it ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.errors import JobCancelled, NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState

# Three ways out of a process group, each deaf to SIGTERM, each writing its pid when it is out.
ESCAPES = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def settle(name):
    with open(name + ".new", "w") as file: file.write(str(os.getpid()))
    os.rename(name + ".new", name)
    time.sleep(300)
if os.fork() == 0:
    os.setsid(); settle("session")
if os.fork() == 0:
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)
    settle("daemon")
if os.fork() == 0:
    os.setpgid(0, 0); os.environ.clear()
    code = "import os,signal,time\\nsignal.signal(15, signal.SIG_IGN)\\nopen('bare.new','w').write(str(os.getpid()))\\n"
    code += "os.rename('bare.new','bare')\\ntime.sleep(300)"
    os.execve(sys.executable, [sys.executable, "-S", "-c", code], {})
time.sleep(300)
"""
NAMES = ("session", "daemon", "bare")


def escaped(host: Any, run: Any) -> list[int]:
    """The pids of the three, once all have settled."""
    work = host.folder(run) / "work"
    host.until(lambda: all((work / name).exists() for name in NAMES))
    return [int((work / name).read_text()) for name in NAMES]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def escaping(host: Any, tmp_path: Path, tail: str = "", **more: Any) -> Any:
    (tmp_path / "project").mkdir(exist_ok=True)
    (tmp_path / "project/escapes.py").write_text(ESCAPES)
    return host.start(f"{sys.executable} escapes.py {tail}", workdir=tmp_path / "project", **more)


def test_cancel_ends_grandchildren_that_left_session_group_and_parent(host: Any, tmp_path: Path) -> None:
    run = escaping(host, tmp_path)
    pids = escaped(host, run)
    host.cancel(run)
    status = host.poll(run)
    assert (status.state, status.reason) == (ExecutionState.FINISHED, "cancelled")
    # The shell heeds SIGTERM; where it made way for Python by exec, SIGKILL was needed.
    assert (status.exit_code, status.signal) in {(143, "SIGTERM"), (137, "SIGKILL")}
    assert [pid for pid in pids if alive(pid)] == []
    host.cancel(run)
    assert host.poll(run) == status


def test_time_limit_ends_the_whole_tree(host: Any, tmp_path: Path) -> None:
    run = escaping(host, tmp_path, time_limit=1.5)
    pids = escaped(host, run)
    status, _ = host.result(run)
    assert (status.state, status.reason) == (ExecutionState.FINISHED, "timeout")
    assert [pid for pid in pids if alive(pid)] == []


def test_time_limit_holds_in_setup_too(host: Any) -> None:
    status, output = host.result(host.start("echo never", setup="sleep 60", time_limit=0.2))
    assert (status.reason, status.signal, output) == ("timeout", "SIGTERM", b"")


def test_what_a_command_leaves_behind_ends_with_it(host: Any, tmp_path: Path) -> None:
    run = escaping(host, tmp_path, "& while ! [ -e session -a -e daemon -a -e bare ]; do sleep 0.01; done; exit 5")
    status, _ = host.result(run)
    assert (status.exit_code, status.reason, status.detail) == (5, "exit", "")
    assert [pid for pid in escaped(host, run) if alive(pid)] == []


def test_a_service_of_setup_lives_as_long_as_the_command(host: Any) -> None:
    run = host.start("kill -0 $(cat service) && echo alive", setup="sleep 300 >/dev/null & echo $! > service")
    _, output = host.result(run)
    assert output == b"alive\n"
    assert not alive(int((host.folder(run) / "work/service").read_text()))


def test_job_may_tidy_up_when_it_is_cancelled(host: Any) -> None:
    run = host.start("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done")
    host.until(lambda: host.logs(run) == b"ready\n")
    host.cancel(run)
    status = host.poll(run)
    assert (status.exit_code, status.reason) == (7, "cancelled")
    assert host.logs(run).endswith(b"bye\n")


def test_a_stopped_job_can_be_cancelled(host: Any) -> None:
    run = host.start("echo ready; kill -STOP $$; sleep 60")
    host.until(lambda: host.logs(run) == b"ready\n")
    host.cancel(run)
    assert host.poll(run).reason == "cancelled"


def test_cancel_before_the_start_forbids_it(host: Any) -> None:
    run = host.execution("echo never")
    host.cancel(run)
    with pytest.raises(JobCancelled):
        host.start(run)
    assert host.poll(run).state is ExecutionState.ABSENT
    again = host.start(host.execution("echo again", run=run.run_id, epoch=2))
    assert host.result(again)[1] == b"again\n"


def test_run_whose_keeper_was_killed_is_lost_and_cancel_cleans_up(host: Any, tmp_path: Path) -> None:
    run = escaping(host, tmp_path)
    pids = escaped(host, run)
    os.kill(host.keeper(run), signal.SIGKILL)
    status = host.until(lambda: (s := host.poll(run)).state is ExecutionState.LOST and s)
    assert status.exit_code is None
    assert [pid for pid in pids if alive(pid)] == pids
    host.logs(run, follow=True)
    host.cancel(run)
    assert [pid for pid in pids if alive(pid)] == []
    assert host.poll(run).state is ExecutionState.LOST


def test_a_signal_that_is_not_ours_is_a_loss_and_no_cancellation(host: Any) -> None:
    run = host.start("echo ready; sleep 60")
    host.until(lambda: host.logs(run) == b"ready\n")
    os.kill(host.keeper(run), signal.SIGTERM)
    host.until(lambda: host.poll(run).state is ExecutionState.LOST)
    # Nobody has to ask for it: what is left of the run ends, and why is noted.
    status = host.until(lambda: (s := host.poll(run)).finished_at and s)
    assert status.state is ExecutionState.LOST
    assert "SIGTERM" in status.detail
    assert host.none_of(run)


def test_stopped_keeper_does_not_stop_a_cancellation(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lepton_sdk._executors.transports.local.executor._PATIENCE", 0.5)
    run = host.start("echo ready; sleep 60")
    host.until(lambda: host.logs(run) == b"ready\n")
    os.kill(host.keeper(run), signal.SIGSTOP)
    host.cancel(run)
    assert host.poll(run).state is ExecutionState.LOST
    host.until(lambda: host.none_of(run))


CHAINS = """
cat > chain.sh <<'END'
echo x >> count
[ "$1" -gt 100000 ] || sh chain.sh "$(($1 + 1))" &
END
for i in 1 2 3 4; do sh chain.sh 0 & done; sleep 60
"""


def test_tree_that_is_never_still_ends(host: Any) -> None:
    # Each process starts its successor and leaves, faster than the process table can be read. It ends of itself after
    # some minutes: what an interrupted test left would slow this host down until its next boot.
    run = host.start(CHAINS)
    host.until(lambda: (p := host.folder(run) / "work/count").exists() and len(p.read_text()) > 60)
    host.cancel(run)
    assert host.poll(run).reason == "cancelled"
    # Whoever looks for such processes may miss them; what they write cannot be missed.
    written = (host.folder(run) / "work/count").stat().st_size
    time.sleep(1)
    assert (host.folder(run) / "work/count").stat().st_size == written
    host.until(lambda: host.none_of(run))


def test_result_is_kept_when_the_job_fills_the_disk(host: Any, small_disk: Path) -> None:
    host.move(small_disk / "runs")
    run = host.start("head -c 2000000 /dev/zero > fill; head -c 300000 /dev/zero; echo; exit 4")
    status, output = host.result(run)
    assert (status.state, status.exit_code, status.reason) == (ExecutionState.FINISHED, 4, "exit")
    assert "bytes of output did not fit on the disk" in status.detail
    assert len(output) < 300_000


def test_start_on_a_full_disk_says_so_and_leaves_nothing(host: Any, small_disk: Path) -> None:
    host.move(small_disk / "runs")
    run = host.execution("true")
    host.folder(run).parent.mkdir(parents=True)
    try:
        (small_disk / "fill").write_bytes(b"x" * 2_000_000)
    except OSError:
        assert os.statvfs(small_disk).f_bavail == 0
    with pytest.raises(NodeUnreachable, match="No space left on device"):
        host.start(run)
    assert host.poll(run).state is ExecutionState.ABSENT
    assert not host.folder(run).exists()
