"""Whoever dies, the next client goes on from the last row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, RunState
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]

# A client of its own process, which is killed at a row of the journal, before or after it took effect.
_CLIENT = """
import os, sys
from pathlib import Path
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider
folder, kill_at, fault = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
cloud = FakeProvider(folder / "cloud", faults=[fault] if fault else [])
def on_event(event):
    print(event.kind, flush=True)
    if event.kind == kill_at:
        os.kill(os.getpid(), 9)
with Client(cache=folder / "cache", providers={FAKE_SPEC: cloud}) as client:
    client.run(Job("echo begun; sleep 0.3; echo ended", resources="H100:8", name="long"), on_event=on_event)
"""


def die_at(folder: Path, where: str, row: str, fault: str = "") -> None:
    command = [sys.executable, "-c", _CLIENT, str(folder), row, fault]
    environment = os.environ | {"LEPTON_SDK_STATE": where}
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert process.returncode in (-signal.SIGKILL, 9), process.stderr


ROWS = [
    "run.planned",
    "node.intended",
    "node.owned",
    "node.reachable",
    "node.running",
    "node.finished",
    "node.releasing",
    "node.released",
]


@pytest.mark.parametrize("row", ROWS)
def test_a_client_killed_at_a_row_leaves_nothing_behind(row: str, tmp_path: Path, where: str, make_client: MakeClient) -> None:
    die_at(tmp_path, where, row)
    cloud = FakeProvider(tmp_path / "cloud")
    client = make_client(cloud)
    run = client.wait("long")
    # Killed between the intent and the call, nothing was made, and the run takes another machine.
    assert run.state is RunState.SUCCEEDED
    assert b"".join(client.logs(run.id)) == b"begun\nended\n"
    assert cloud.running() == []
    assert len(cloud.machines()) == 1


def test_a_machine_made_by_a_call_that_never_returned_is_adopted(tmp_path: Path, where: str, make_client: MakeClient) -> None:
    die_at(tmp_path, where, "nothing", fault="die")
    cloud = FakeProvider(tmp_path / "cloud")
    assert len(cloud.running()) == 1
    run = make_client(cloud).wait("long")
    assert run.state is RunState.SUCCEEDED
    assert cloud.calls.count("acquire") == 0
    assert cloud.running() == []


def test_the_job_runs_on_while_no_client_lives(tmp_path: Path, own_home: Path, where: str, make_client: MakeClient) -> None:
    command, environment = (
        [sys.executable, "-c", _CLIENT, str(tmp_path), "never", ""],
        os.environ | {"LEPTON_SDK_STATE": where},
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with process:
        log = _wait_for_log(tmp_path, own_home)
        process.kill()
    end = time.monotonic() + 20
    while b"ended" not in log.read_bytes():
        assert time.monotonic() < end, "the job did not go on"
        time.sleep(0.02)
    client = make_client(FakeProvider(tmp_path / "cloud"))
    # Looking is enough: whoever lists runs takes the steps that are due.
    while [run.state for run in client.runs(all=True)] != [RunState.SUCCEEDED]:
        assert time.monotonic() < end, client.runs(all=True)
        time.sleep(0.02)
    assert client.nodes() == []


def _wait_for_log(*folders: Path) -> Path:
    end = time.monotonic() + 20
    while not (found := [path for folder in folders for path in folder.rglob("log")]):
        assert time.monotonic() < end, "no log appeared"
        time.sleep(0.02)
    return found[0]


def test_two_clients_never_drive_one_run(tmp_path: Path, where: str, make_client: MakeClient) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    first, second = make_client(cloud), make_client(cloud)
    run = first.run({"command": "true", "resources": {"gpu": "H100:8"}})
    engine = second._client._engine
    journal = engine.journal
    assert journal.claim(run.id, f"elsewhere/boot/{os.getpid()}/1/x", 60, lambda _: True) is not None
    assert journal.claim(run.id, engine.holder, 60, lambda _: True) is None
    # A holder that is certainly dead loses its claim at once, and the epoch grows.
    first_epoch = journal.claim(run.id, engine.holder, 60, lambda _: False)
    assert first_epoch is not None
    assert first_epoch > 1
