"""One execution from start to result: codes, signals, environment, logs."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._executors.local_spec import EXECUTOR
from lepton_sdk.errors import JobSpecError
from lepton_sdk.spi.executor import ExecutionState, Executor


def test_keeps_the_executor_contract(host: Any) -> None:
    assert isinstance(host.executor, Executor)
    assert (EXECUTOR.name, EXECUTOR.access) == ("local", "local")


def test_runs_setup_then_command_and_keeps_their_output_in_order(host: Any) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    run = host.start("echo two; echo three >&2; echo four", setup="echo one")
    status, output = host.result(run)
    assert output == b"one\ntwo\nthree\nfour\n"
    assert (status.state, status.exit_code, status.signal, status.reason) == (ExecutionState.FINISHED, 0, None, "exit")
    assert before < status.started_at <= status.finished_at < datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("code", [1, 3, 127, 200])
def test_keeps_the_exit_code(host: Any, code: int) -> None:
    status, _ = host.result(host.start(f"exit {code}"))
    assert (status.exit_code, status.reason) == (code, "exit")


@pytest.mark.parametrize(("name", "code"), [("SEGV", 139), ("KILL", 137), ("ABRT", 134), ("PIPE", 141)])
def test_keeps_the_signal_that_ended_the_job(host: Any, name: str, code: int) -> None:
    status, _ = host.result(host.start(f"kill -{name} $$; sleep 60"))
    assert (status.exit_code, status.signal) == (code, f"SIG{name}")


def test_a_signal_that_a_shell_passed_on_is_named_too(host: Any) -> None:
    status, _ = host.result(host.start("sh -c 'kill -SEGV $$'; exit $?"))
    assert (status.exit_code, status.signal) == (139, "SIGSEGV")


def test_setup_that_fails_ends_the_run_before_its_command(host: Any) -> None:
    status, output = host.result(host.start("echo never", setup="echo begun\nfalse\necho behind"))
    assert (status.exit_code, status.reason, output) == (1, "setup", b"begun\n")


def test_runs_in_a_fresh_copy_of_the_workdir(host: Any, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/data").write_text("as given\n")
    for _ in range(2):
        run = host.start("cat data; echo spoiled > data; pwd -P", workdir=tmp_path / "project")
        _, output = host.result(run)
        assert output == f"as given\n{(host.folder(run) / 'work').resolve()}\n".encode()
    assert (tmp_path / "project/data").read_text() == "as given\n"


def test_folders_and_files_of_a_run_are_for_their_owner_only(host: Any) -> None:
    run = host.start("true")
    host.result(run)
    folder = host.folder(run)
    for path in (folder.parent, folder, folder / "work"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for name in ("log", "start", "status"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_environment_is_clean_and_layered(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example")
    monkeypatch.setenv("AWS_PROFILE", "private")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    run = host.start(
        "env",
        env={"LAYER": "job", "TZ": "UTC"},
        environment={"LAYER": "core", "RANK": "0"},
        secrets={"TOKEN": "s3cret"},
    )
    _, output = host.result(run)
    seen = dict(line.split("=", 1) for line in output.decode().splitlines())
    assert seen["PATH"] == os.environ["PATH"]
    assert seen["PIP_INDEX_URL"] == "https://mirror.example"
    assert (seen["LAYER"], seen["RANK"], seen["TZ"], seen["TOKEN"]) == ("job", "0", "UTC", "s3cret")
    assert (seen["LEPTON_RUN_MARK"], seen["PYTHONUNBUFFERED"]) == (f"{run.run_id}-1-0", "1")
    assert not {"AWS_PROFILE", "PYTHONPATH", "PYTEST_CURRENT_TEST"} & set(seen)


def test_text_of_any_kind_reaches_the_job_unchanged(host: Any) -> None:
    value = "a'b\"c\n$(false) \\ é 漢 🙂"
    _, output = host.result(host.start('printf %s "$VALUE"', env={"VALUE": value}))
    assert output.decode() == value


def test_secrets_stand_on_no_command_line_and_in_no_file(host: Any) -> None:
    secret = b"only-in-memory-4711"
    run = host.start("echo ${#TOKEN}; sleep 60", secrets={"TOKEN": secret.decode()})
    host.until(lambda: host.logs(run) == b"%d\n" % len(secret))
    assert secret not in Path(f"/proc/{host.keeper(run)}/environ").read_bytes()
    assert [line for line in command_lines() if secret in line] == []
    host.cancel(run)
    assert [path for path in host.runs.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return lines


def test_job_reads_nothing_from_our_terminal(host: Any) -> None:
    status, output = host.result(host.start("cat; echo end"))
    assert (status.exit_code, output) == (0, b"end\n")


def test_redirecting_to_the_own_output_keeps_what_stood_before(host: Any) -> None:
    _, output = host.result(host.start("echo one; echo two > /dev/stderr; echo three > /dev/stdout"))
    assert output == b"one\ntwo\nthree\n"


def test_environment_too_large_for_the_kernel_is_a_failed_job(host: Any) -> None:
    run = host.start("true", env={f"V{n}": "x" * 100_000 for n in range(40)})
    status, output = host.result(run)
    assert (status.state, status.exit_code) == (ExecutionState.FINISHED, 126)
    assert b"Argument list too long" in output


def test_null_character_in_a_secret_is_refused(host: Any) -> None:
    with pytest.raises(JobSpecError, match="TOKEN"):
        host.start("true", secrets={"TOKEN": "a\0b"})


def test_logs_resume_at_the_exact_byte_and_follow_to_the_end(host: Any) -> None:
    run = host.start("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    whole = host.logs(run, follow=True)
    assert whole == b"".join(b"line %d\n" % n for n in range(2000))
    for offset in (0, 1, 777, len(whole) - 1, len(whole), len(whole) + 5):
        assert host.logs(run, offset) == whole[offset:]
        assert host.logs(run, offset, follow=True) == whole[offset:]


def test_logs_come_while_the_job_runs_in_pieces_of_64_kib_at_most(host: Any) -> None:
    run = host.start("head -c 200000 /dev/zero; read gate < gate.fifo; echo end", setup="mkfifo gate.fifo")

    async def read() -> list[bytes]:
        pieces = []
        async for piece in host.executor.logs(host.node, run, follow=True):
            pieces.append(piece)
            if sum(map(len, pieces)) == 200_000:
                # The job is still running, and goes on only now.
                (host.folder(run) / "work/gate.fifo").write_text("go\n")
        return pieces

    pieces = asyncio.run(asyncio.wait_for(read(), 20))
    assert b"".join(pieces) == b"\0" * 200_000 + b"end\n"
    assert max(map(len, pieces)) <= 1 << 16


def test_follower_may_come_before_the_job(host: Any) -> None:
    run = host.execution("echo here")
    host.begun.append(run)

    async def both() -> bytes:
        async def read() -> bytes:
            return b"".join([piece async for piece in host.executor.logs(host.node, run, follow=True)])

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.03)
        assert not reading.done()
        await host.executor.start(host.node, run)
        return await asyncio.wait_for(reading, 15)

    assert asyncio.run(both()) == b"here\n"


def test_nothing_is_known_of_what_was_never_started(host: Any) -> None:
    run = host.execution("true")
    assert host.poll(run).state is ExecutionState.ABSENT
    assert host.logs(run) == b""


def test_missing_workdir_is_refused_and_leaves_no_folder(host: Any, tmp_path: Path) -> None:
    run = host.execution("true", workdir=tmp_path / "nowhere")
    with pytest.raises(JobSpecError, match="nowhere"):
        host.start(run)
    assert not host.folder(run).exists()
    assert host.poll(run).state is ExecutionState.ABSENT
