"""A start over SSH happens once, whoever asks and whoever dies, and nothing that is secret or odd is read twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_sdk._executors.keeper.orders import orders
from lepton_sdk._executors.keeper.program import KEEPER
from lepton_sdk._executors.keeper.status import told_clock
from lepton_sdk._executors.ssh_spec import EXECUTOR
from lepton_sdk.errors import JobSpecError
from lepton_sdk.spi.executor import ExecutionState, Executor

# A client of its own: starts one run, says so, and follows its log until it is killed.
CLIENT = """
import asyncio, sys
from pathlib import Path
from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutorContext

name, state, port, key, command = sys.argv[1:]
run = Execution(name, 1, 1, 0, Job(command))
node = Node("ssh", "host", access=SSHAccess("127.0.0.1", port=int(port), host_keys=(key,), user=""))
executor = SSHExecutor(ExecutorContext(clock=SystemClock(), runs_dir=Path(state, "runs")))

async def main():
    await executor.start(node, run)
    print("started", flush=True)
    async for piece in executor.logs(node, run, follow=True):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    await executor.aclose()

asyncio.run(main())
"""


def client(host: Any, tmp_path: Path, command: str) -> subprocess.Popen[bytes]:
    server = host.server
    argv = [sys.executable, "-c", CLIENT, f"shared{host.token}", str(tmp_path), str(server.port), server.host_key, command]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def shared(host: Any, command: str) -> Any:
    run = host.execution(command, run="shared")
    host.begun.append(run)
    return run


def test_keeps_the_executor_contract(host: Any) -> None:
    assert isinstance(host.executor, Executor)
    assert (EXECUTOR.name, EXECUTOR.access) == ("ssh", "ssh")


def test_job_outlives_a_client_that_is_killed_and_another_goes_on_at_the_exact_byte(host: Any, tmp_path: Path) -> None:
    command = "i=0; while ! [ -e go ]; do echo $i; i=$((i+1)); sleep 0.01; done; echo end; exit 9"
    run = shared(host, command)
    with client(host, tmp_path, command) as first:
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


def test_clients_that_start_one_run_at_the_same_time_start_it_once(host: Any, tmp_path: Path) -> None:
    command = f"echo $$ >> {tmp_path}/starts; sleep 0.3; echo out"
    run = shared(host, command)
    clients = [client(host, tmp_path, command) for _ in range(3)]
    assert {process.communicate(timeout=60)[0] for process in clients} == {b"started\nout\n"}
    assert len((tmp_path / "starts").read_text().splitlines()) == 1
    assert host.poll(run).exit_code == 0


def test_starts_in_one_client_at_the_same_time_start_it_once(host: Any, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/file").write_text("x")
    run = host.execution(f"echo $$ >> {tmp_path}/starts; cat file", workdir=tmp_path / "project")
    host.begun.append(run)

    async def both() -> None:
        await asyncio.gather(*(host.executor.start(host.node, run) for _ in range(5)))

    host.do(both())
    assert host.result(run)[1] == b"x"
    assert len((tmp_path / "starts").read_text().splitlines()) == 1


def test_half_an_order_starts_nothing(host: Any) -> None:
    run = host.execution("echo never")

    async def half() -> list[str]:
        channel = await host.executor._remote(host.node).call("keep", f"{run.run_id}/1-0", "-")
        await channel.send(b"epoch=1\ncommand='echo nev")
        channel.finish()
        return [line async for line in _lines(channel)]

    async def _lines(channel: Any) -> Any:
        while (line := await channel.line()) is not None:
            yield line

    assert host.do(half()) == []
    assert host.poll(run).state is ExecutionState.ABSENT


def test_a_claimed_run_goes_on_though_its_client_died_before_the_answer(host: Any, tmp_path: Path) -> None:
    run = host.execution("echo ran; trap | grep -c PIPE")
    host.begun.append(run)
    folder, keeper = host.folder(run), tmp_path / "keeper"
    keeper.write_bytes(KEEPER)
    nobody, answers = os.pipe()
    os.close(nobody)
    words = ["sh", str(keeper), str(folder.parents[2]), "keep", "/".join(folder.parts[-2:]), "-", "0"]
    subprocess.run(words, input=orders(run, 1.0), stdout=answers, stderr=subprocess.DEVNULL, timeout=60, check=True)
    os.close(answers)
    status, output = host.result(run)
    assert (status.state, output) == (ExecutionState.FINISHED, b"ran\n0\n")


def test_environment_is_clean_and_layered(make_host: Any, make_server: Any) -> None:
    # What sshd gives a session stands for the node's own environment.
    server = make_server()
    host = make_host(server)
    run = host.start(
        "env",
        env={"LAYER": "job", "TZ": "UTC", "run": "mine", "setsid": "mine", "code": "mine"},
        environment={"LAYER": "core", "RANK": "0"},
        secrets={"TOKEN": "s3cret"},
    )
    _, output = host.result(run)
    seen = dict(line.split("=", 1) for line in output.decode().splitlines())
    assert (seen["LAYER"], seen["RANK"], seen["TZ"], seen["TOKEN"]) == ("job", "0", "UTC", "s3cret")
    assert (seen["run"], seen["setsid"], seen["code"]) == ("mine", "mine", "mine")
    assert (seen["HOME"], seen["LEPTON_RUN_MARK"]) == (str(server.home), f"{run.run_id}-1-0")
    assert not {"SSH_CLIENT", "SSH_CONNECTION", "MAIL", "base", "command", "mark", "epoch"} & set(seen)


def test_a_job_hears_sigint(host: Any) -> None:
    # A shell makes what it starts in the background deaf to it, and launchers stop their workers with it.
    status, output = host.result(host.start("trap 'echo heard; exit 5' INT; kill -INT $$; sleep 5"))
    assert (status.exit_code, output) == (5, b"heard\n")


def test_the_umask_of_the_node_holds_in_the_job(host: Any) -> None:
    _, output = host.result(host.start("umask"))
    assert int(output, 8) == int(subprocess.run(["sh", "-c", "umask"], capture_output=True, check=True).stdout, 8)


def test_files_of_a_run_are_for_their_owner_only(host: Any) -> None:
    run = host.start("true")
    host.result(run)
    for path in (host.runs.parent, host.runs, host.folder(run), host.folder(run) / "work"):
        assert path.stat().st_mode & 0o777 == 0o700
    for name in ("log", "start", "status"):
        assert (host.folder(run) / name).stat().st_mode & 0o777 == 0o600


def test_secrets_stand_on_no_command_line_and_in_no_file(host: Any, tmp_path: Path) -> None:
    secret = b"only-in-memory-4711"
    run = host.start("echo ${#TOKEN}; sleep 60", secrets={"TOKEN": secret.decode()}, setup="true")
    host.until(lambda: host.logs(run) == b"%d\n" % len(secret))
    assert [line for line in read_all("cmdline") if secret in line] == []
    holders = [path for path in Path("/proc").glob("[0-9]*/environ") if secret in _bytes(path)]
    assert {int(path.parts[2]) for path in holders} == host.processes(run)
    host.cancel(run)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def read_all(name: str) -> list[bytes]:
    return [_bytes(path) for path in Path("/proc").glob(f"[0-9]*/{name}")]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
NAMES = st.from_regex(r"X[A-Za-z0-9_]{0,8}", fullmatch=True)
ODD = st.sampled_from(["'", '"', "$(touch pwned)", "`id`", "\\", "\n", "\r\n", "#end", "} ;", "*", "~", "!", " ", "\t"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(NAMES, TEXTS | st.lists(ODD | TEXTS).map("".join), max_size=4))
def test_values_arrive_as_they_were_written(host: Any, values: dict[str, str]) -> None:
    run = host.start("env -0; ls", env=values, setup="printf ''")
    _, output = host.result(run)
    *entries, listing = output.split(b"\0")
    seen = dict(entry.split(b"=", 1) for entry in entries)
    assert {name: seen[name.encode()].decode() for name in values} == values
    assert listing == b""


@pytest.mark.parametrize(
    "command", ["echo 'a\"b' \"c'd\" '$(id)' \\$HOME", "cat <<'E'\nx'y\nE\n", "printf '%s' '\\n'  # ' end", "echo a\r"]
)
def test_commands_are_read_once_by_one_shell(host: Any, command: str) -> None:
    expected = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout
    assert host.result(host.start(command))[1] == expected


def test_windows_line_ends_end_as_they_do_on_this_host(host: Any) -> None:
    command = "echo one\r\nfalse\r\n"
    here = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    status, output = host.result(host.start(command))
    assert (status.exit_code, output.splitlines()[0]) == (here.returncode, here.stdout.splitlines()[0])
    assert b"not found" in output


@pytest.mark.parametrize("run", ["../up", "a b", "$(id)", "a'b", "-n", ""])
def test_id_that_could_name_another_place_is_refused(host: Any, run: str) -> None:
    from attrs import evolve

    execution = evolve(host.execution("true"), run_id=run)
    for call in (host.executor.start, host.executor.poll, host.executor.cancel):
        with pytest.raises(JobSpecError, match="cannot name a run"):
            host.do(call(host.node, execution))


def test_variable_that_no_shell_can_set_is_refused(host: Any) -> None:
    with pytest.raises(JobSpecError, match="'A B'"):
        host.start("true", environment={"A B": "x"})


def test_a_base_with_odd_letters_is_used_as_written(make_host: Any, server: Any) -> None:
    host = make_host(server, base="it's $(a) base")
    run = host.start("pwd -P")
    assert host.result(run)[1] == f"{(host.folder(run) / 'work').resolve()}\n".encode()


def test_stopped_keeper_does_not_stop_a_cancellation(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lepton_sdk._executors.transports.ssh.executor._PATIENCE", 0.5)
    run = host.start("echo ready; sleep 60")
    host.until(lambda: host.logs(run) == b"ready\n")
    os.kill(host.keeper(run), signal.SIGSTOP)
    host.cancel(run)
    assert host.poll(run).state is ExecutionState.LOST
    host.until(lambda: host.none_of(run))


def test_a_signal_that_is_not_ours_is_a_loss_and_no_cancellation(host: Any) -> None:
    run = host.start("echo ready; trap 'exit 0' TERM; while :; do sleep 0.02; done")
    host.until(lambda: host.logs(run) == b"ready\n")
    # As at a shutdown: the keeper first, then the job.
    os.kill(host.keeper(run), signal.SIGTERM)
    for pid in host.processes(run):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    status = host.until(lambda: (s := host.poll(run)).finished_at and s)
    assert status.state is ExecutionState.LOST
    assert "SIGTERM" in status.detail


def test_run_of_an_earlier_boot_is_lost_and_cancel_touches_nothing(host: Any) -> None:
    run = host.start("echo ready; sleep 60")
    host.until(lambda: host.logs(run) == b"ready\n")
    start = host.folder(run) / "start"
    text = start.read_text()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start.write_text(text.replace(boot, "another-boot"))
    assert host.poll(run).state is ExecutionState.LOST
    host.cancel(run)
    assert not host.none_of(run)
    start.write_text(text)
    assert host.poll(run).state is ExecutionState.RUNNING


def test_a_renewal_that_arrives_late_puts_nothing_off(host: Any) -> None:
    """What a client sent before its cable was cut may arrive when the client has long counted the lease as over."""
    run = host.start("sleep 60", lease=2.0)
    remote = host.executor._remote(host.node)
    poll = ("poll", f"{run.run_id}/{run.attempt}-{run.rank}", str(run.epoch))

    def clock() -> int | None:
        # The lease begins right after the run was claimed.
        return told_clock(host.do(remote.ask(*poll, "0", "-")))

    late = str(host.until(clock) + 200)

    def ends() -> Any:
        host.do(remote.ask(*poll, late, "-"))
        return (host.folder(run) / "status").exists() and host.poll(run)

    assert host.until(ends).state is ExecutionState.LOST


def test_result_is_kept_when_the_job_fills_the_disk(make_host: Any, server: Any, small_disk: Path) -> None:
    host = make_host(server, base=str(small_disk / "base"))
    run = host.start("head -c 2000000 /dev/zero > fill; head -c 300000 /dev/zero; echo; exit 4")
    status, output = host.result(run)
    assert (status.state, status.exit_code, status.reason) == (ExecutionState.FINISHED, 4, "exit")
    assert "bytes of output did not fit on the disk" in status.detail
    assert len(output) < 300_000


def test_start_on_a_full_disk_says_so(make_host: Any, server: Any, small_disk: Path) -> None:
    from lepton_sdk.errors import NodeError

    host = make_host(server, base=str(small_disk / "base"))
    first = host.start("true")
    host.result(first)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "fill").write_bytes(b"x" * 2_000_000)
    run = host.execution("true")
    with pytest.raises(NodeError, match="No space left on device"):
        host.start(run)
    assert host.poll(run).state is ExecutionState.ABSENT


def test_full_disk_at_the_first_connection_says_so(make_host: Any, server: Any, small_disk: Path) -> None:
    from lepton_sdk.errors import NodeError

    with pytest.raises(OSError, match="No space"):
        (small_disk / "fill").write_bytes(b"x" * 2_000_000)
    host = make_host(server, base=str(small_disk / "base"))
    with pytest.raises(NodeError, match="No space left on device"):
        host.poll(host.execution("true"))


def test_run_that_filled_the_disk_can_be_cancelled(make_host: Any, server: Any, small_disk: Path) -> None:
    host = make_host(server, base=str(small_disk / "base"))
    run = host.start("head -c 2000000 /dev/zero > fill; echo x > more || echo full >&2; sleep 60")
    host.until(lambda: (host.folder(run) / "work/fill").exists() and _full(small_disk))
    host.cancel(run)
    assert host.none_of(run)
    assert (host.poll(run).state, host.poll(run).reason) == (ExecutionState.FINISHED, "cancelled")


def _full(disk: Path) -> bool:
    return os.statvfs(disk).f_bavail == 0
