"""A job that changes the files beside its folder: it may spoil its own run, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

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
