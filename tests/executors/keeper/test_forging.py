"""A job that changes the files beside its folder: it may spoil its own run, and nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.executors.process_table import process_table

from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

_WRITE = "cat > ../.y && mv -f ../.y ../status; sleep 300"


def forged(host: Any, text: str) -> Any:
    """A run whose job has written this into its own record; what a look at it gives."""
    run = host.start(f"printf '{text}' | {{ {_WRITE}; }}")
    host.until(lambda: (host.folder(run) / "status").exists())
    try:
        return host.poll(run)
    except NodeUnreachable as error:
        return error


@pytest.mark.parametrize(
    "text",
    [
        "state finished\\ncode abc\\nreason exit\\nfinished 1\\n",
        "state finished\\nreason exit\\n",
        "state finished\\ncode 99999999999999999999999\\nreason exit\\n",
        "state finished\\ncode 1\\nreason for all\\n",
        "state moon\\n",
    ],
)
def test_a_record_without_sense_is_no_result(host: Any, text: str) -> None:
    found = forged(host, text)
    assert isinstance(found, NodeUnreachable)
    assert "makes no sense" in found.message


def test_times_and_words_of_a_job_are_made_fit(host: Any) -> None:
    found = forged(host, "state finished\\ncode 3\\nreason exit\\nfinished 1e300\\ndetail \\033]0;PWNED\\007 x\\n")
    assert isinstance(found, ExecutionStatus)
    assert (found.exit_code, found.finished_at, found.detail) == (3, None, "]0;PWNED x")


def test_a_record_cannot_answer_for_another_run(host: Any) -> None:
    other = host.start("sleep 300")
    done = "state finished\\ncode 0\\nreason exit\\n"
    lie = f"{done}.\\nlives\\nrunning\\nstarted 1777500000\\n{done}.\\nabsent\\n"
    found = forged(host, lie)
    # What ends an answer is passed over, and all of it is this run's own word.
    assert (found.state, found.exit_code) == (ExecutionState.FINISHED, 0)
    for _ in range(3):
        assert host.poll(other).state is ExecutionState.RUNNING


def test_failures_are_codes(host: Any) -> None:
    run = host.start(": > ../failed.0000.abc; : > ../failed.0001.7; : > '../failed.0002.1\n.'; echo done; sleep 300")
    host.until(lambda: host.logs(run) == b"done\n")
    status = host.poll(run)
    assert (status.state, status.failures) == (ExecutionState.RUNNING, (7,))


@pytest.mark.parametrize("name", ["start", "status", "log", "lease", "failed.0000.1"])
def test_a_pipe_in_the_place_of_a_record_holds_nobody_for_long(host: Any, name: str) -> None:
    run = host.start(f"rm -f ../{name}; mkfifo ../{name}; sleep 300")
    host.until(lambda: (host.folder(run) / name).is_fifo())
    assert host.poll(run).state in (ExecutionState.RUNNING, ExecutionState.ABSENT)
    assert host.logs(run) == b""


@pytest.mark.parametrize("file", ["start", "status"])
@pytest.mark.parametrize("text", ["", "nonsense", "pid " + "9" * 5000 + "\n", "pid\n" * 100_000, "state finished\n", "\0\0"])
def test_bytes_that_nobody_wrote(host: Any, file: str, text: str) -> None:
    run = host.start("sleep 300")
    keeper = (host.folder(run) / "start").read_text()
    (host.folder(run) / file).write_text(text)
    looked(host, run)
    (host.folder(run) / "start").write_text(keeper)
    host.cancel(run)
    host.until(lambda: host.none_of(run))


def looked(host: Any, run: Any) -> None:
    """Look at a run: a status, or that the answer makes no sense."""
    try:
        found: object = host.poll(run)
    except NodeUnreachable as error:
        found = error.message
    assert isinstance(found, ExecutionStatus) or "makes no sense" in str(found)


_EVIL = ["", "abc", "-1", "1e300", "9" * 40, "\x1b[2J", "1 2", "$(id)"]


@pytest.mark.parametrize("key", ["pid", "born", "boot", "mark", "epoch", "grace", "started"])
def test_a_start_that_is_wrong_ends_in_no_traceback(host: Any, key: str) -> None:
    run = host.start("sleep 300")
    place = host.folder(run) / "start"
    good = place.read_text()
    for evil in _EVIL:
        lines = [f"{key} {evil}" if line.startswith(f"{key} ") else line for line in good.splitlines()]
        place.write_text("\n".join([*lines, ""]))
        looked(host, run)
    # Its processes carry the mark, whatever its record says; only the name of the boot must hold.
    host.cancel(run)
    if key in ("boot", "epoch"):
        place.write_text(good)
        host.cancel(run)
    host.until(lambda: host.none_of(run))


def test_a_record_cannot_have_the_children_of_a_stranger_killed(host: Any) -> None:
    run = host.start("sleep 300")
    keeper = host.keeper(run)
    os.kill(keeper, signal.SIGSTOP)
    with subprocess.Popen(["sh", "-c", "setsid sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        child = int(stranger.stdout.readline())
        born = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
        change = {"pid": str(stranger.pid), "born": born}
        place = host.folder(run) / "start"
        words = [line.split(" ", 1) for line in place.read_text().splitlines()]
        good = place.read_text()
        place.write_text("".join(f"{key} {change.get(key, value)}\n" for key, value in words))
        (host.folder(run) / "status").write_text("state finished\ncode 0\nreason exit\n")
        host.cancel(run)
        assert process_table()[child].runs
        os.kill(child, signal.SIGKILL)
    place.write_text(good)
    os.kill(keeper, signal.SIGKILL)
    host.until(lambda: host.none_of(run))


@pytest.mark.parametrize("name", ["status", "log", "cancel", "fence"])
@pytest.mark.parametrize("what", ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s ."])
def test_something_else_in_the_place_of_a_file(host: Any, name: str, what: str) -> None:
    run = host.start(f"rm -rf ../{name}; {what} ../{name} && : > there; sleep 300")
    host.until(lambda: (host.folder(run) / "work/there").exists())
    looked(host, run)
    assert host.logs(run) == b""
    host.cancel(run)
    host.until(lambda: host.none_of(run))
