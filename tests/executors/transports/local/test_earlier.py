"""A process id is never trusted alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk._executors._kernel import Process, boot_id, descendants, process_entry, to_json, whole_groups
from lepton_sdk._executors.processes import alive, signal_keeper, survivors
from lepton_sdk._executors.record import read_status
from lepton_sdk.spi.executor import ExecutionState


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def record(pid: int, changes: dict[str, object] | None = None) -> dict[str, object]:
    entry = process_entry(pid)
    assert entry is not None
    return {"pid": pid, "born": entry.born, "boot": boot_id(), "mark": "no-such-mark", "pipe": "pipe:[0]"} | (changes or {})


def test_the_same_process_is_alive_and_is_reached(innocent: subprocess.Popen[bytes]) -> None:
    start = record(innocent.pid)
    assert alive(start)
    assert signal_keeper(start, signal.SIGTERM)
    assert innocent.wait(10) == -signal.SIGTERM
    assert not alive(start)


@pytest.mark.parametrize("changes", [{"born": 1}, {"boot": "another"}, {"pid": None}, {"pid": 2**22 + 1}])
def test_recycled_pid_is_never_signalled(innocent: subprocess.Popen[bytes], changes: dict[str, object]) -> None:
    start = record(innocent.pid, changes)
    assert not alive(start)
    assert not signal_keeper(start, signal.SIGKILL)
    assert innocent.poll() is None


def test_recycled_session_is_no_evidence(innocent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    # The session has the keeper's number, but nobody in it works for the run.
    assert survivors(record(innocent.pid, {"born": 1}), tmp_path) == set()
    assert innocent.poll() is None


def test_zombie_is_not_alive() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not alive(record(pid))
    finally:
        os.waitpid(pid, 0)


def test_run_of_an_earlier_boot_is_lost(tmp_path: Path) -> None:
    (tmp_path / "start.json").write_text(json.dumps(record(os.getpid(), {"boot": "earlier", "started_at": 1.0})))
    (tmp_path / "status.json").write_text('{"state": "running"}')
    assert read_status(tmp_path).state is ExecutionState.LOST


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_damaged_record_is_a_loss_and_never_a_second_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "start.json").write_text(text)
    assert read_status(tmp_path).state is ExecutionState.LOST


def test_descendants_are_found_at_any_depth_and_loops_end() -> None:
    table = {pid: Process(parent, 7, 0, pid != 4, 0) for pid, parent in {2: 1, 3: 2, 4: 3, 5: 9, 9: 5}.items()}
    assert descendants(table, {1}) == {2, 3}
    assert descendants(table, {5}) == {9}


def test_only_groups_without_a_stranger_are_signalled_whole() -> None:
    table = {pid: Process(1, group, 0, True, 0) for pid, group in {2: 20, 3: 20, 4: 40, 5: 40}.items()}
    assert whole_groups(table, {2, 3, 4}) == {-20}


texts = st.text(st.characters(codec=None))
plain = st.none() | st.integers() | texts | st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_the_keepers_json_is_json(value: object) -> None:
    assert json.loads(to_json(value)) == value
