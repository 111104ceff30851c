"""Runs and journals of an earlier version are taken up by this one; an older client keeps away from what it cannot read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import AsyncClient, RunState
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

# A client of that version begins a run, and is gone at a row of the journal.
_CLIENT = """
import os, sys
from pathlib import Path
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider
folder, state, row = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def seen(event):
    if event.kind == row:
        os._exit(9)
cloud = FakeProvider(folder / "cloud", faults=["lose-reply"] if row == "node.unknown" else [])
with Client(state=state, cache=folder / "cache", providers={FAKE_SPEC: cloud}) as client:
    client.run(Job("sleep 0.5; echo done", name="job", resources="H100:8"), on_event=seen)
"""
_ROWS = ["run.planned", "node.intended", "node.unknown", "node.owned", "node.running", "node.finished", "node.releasing"]


def _begin(folder: Path, where: str, row: str, source: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
    words = [sys.executable, "-c", _CLIENT, str(folder), where, row]
    done = subprocess.run(words, env=environment | {"PYTHONPATH": str(source), "HOME": str(folder)}, check=False, timeout=60)
    assert done.returncode == 9


@pytest.mark.parametrize("row", _ROWS)
def test_a_run_of_an_earlier_version_is_taken_up(
    row: str,
    where: str,
    tmp_path: Path,
    earlier_source: Path,
    run_async: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Where the journal is a database, files of runs lie below the home.
    monkeypatch.setenv("HOME", str(tmp_path))
    _begin(tmp_path, where, row, earlier_source)
    cloud = FakeProvider(tmp_path / "cloud")

    async def story() -> tuple[Any, bytes]:
        async with AsyncClient(state=where, cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
            run = await client.wait("job")
            output = b"".join([chunk async for chunk in client.logs("job")])
            assert client._engine.journal.verify() > 0
            return run, output

    run, output = run_async(story())
    assert (run.state, output) == (RunState.SUCCEEDED, b"done\n")
    assert len(cloud.machines()) == 1
    assert not cloud.running()


def test_an_older_client_refuses_a_newer_journal_in_one_line(
    where: str, tmp_path: Path, earlier_source: Path, run_async: Callable[..., Any]
) -> None:
    _begin(tmp_path, where, "node.running", earlier_source)

    async def story() -> None:
        async with AsyncClient(
            state=where, cache=tmp_path / "cache", providers={FAKE_SPEC: FakeProvider(tmp_path / "cloud")}
        ) as client:
            await client.wait("job")

    run_async(story())
    ours = {
        "PYTHONPATH": str(earlier_source),
        "HOME": str(tmp_path),
        "LEPTON_SDK_STATE": where,
        "LEPTON_SDK_CACHE": str(tmp_path / "c"),
    }
    words = [sys.executable, "-m", "lepton_sdk", "ps", "--all"]
    older = subprocess.run(words, env=os.environ | ours, capture_output=True, text=True, check=False, timeout=60)
    assert older.returncode != 0
    assert "Traceback" not in older.stderr
    (line,) = (line for line in older.stderr.splitlines() if line.startswith("error:"))
    assert "version" in line
