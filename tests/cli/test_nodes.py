"""``lepton nodes``, ``reconcile`` and ``follow``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import until

Lepton = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("command", ["ps", "nodes"])
def test_lists_are_empty_without_a_journal(command: str, lepton: Lepton, tmp_path: Path) -> None:
    assert json.loads(lepton(command, "--json").stdout) == []
    assert not (tmp_path / "state").exists()


def test_follow_is_a_service_that_leaves_politely(
    long_run: Callable[..., subprocess.Popen[str]],
    lepton: Lepton,
    environment: dict[str, str],
    place: Path,
) -> None:
    long_run().kill()
    service = subprocess.Popen(
        [sys.executable, "-m", "lepton_sdk", "follow"], cwd=place, env=environment, stderr=subprocess.PIPE, text=True
    )
    until(lambda: _claimed_by(environment, service.pid), "the service has taken the run over")
    service.terminate()
    assert service.wait(30) == 0
    assert service.stderr is not None
    service.stderr.close()
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "running"


def _claimed_by(environment: dict[str, str], pid: int) -> bool:
    import sqlite3

    connection = sqlite3.connect(Path(environment["LEPTON_SDK_STATE"], "journal.db"))
    try:
        row = connection.execute("SELECT holder FROM claims").fetchone()
    finally:
        connection.close()
    return f"/{pid}/" in row[0]
