"""Whole runs over the double, whose machines are real sshd hosts: jobs run, clients die, and nothing stays on the bill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

_DRIVE = str(Path(__file__).with_name("drive.py"))
_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_ROWS = [
    "run.planned",
    "node.intended",
    "node.announced",
    "node.owned",
    "node.reachable",
    "node.running",
    "node.finished",
    "node.releasing",
    "node.released",
]

if _SSHD is None:
    pytest.skip("sshd is not installed, so the double has no machines", allow_module_level=True)


@pytest.fixture
def rented(start_double: Callable[..., Any]) -> Any:
    """A double with machines, without limits of pace."""
    pace = ("--pace", "0", "--launch-pace", "0", "--boot", "0.2", "--end", "0.1")
    return start_double(*pace, "--sshd", str(_SSHD), "--ssh-port", "0")


@pytest.fixture
def drive(rented: Any, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a client of its own process in an empty folder."""
    (tmp_path / "work").mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, _DRIVE, str(tmp_path), *words]
        environment = os.environ | rented.environment
        return subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=90)

    return run


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_a_job_runs_and_the_two_bills_agree(drive: Any, rented: Any) -> None:
    answer = _answer(drive("run"))
    assert (answer["state"], answer["attempts"]) == ("succeeded", 1)
    bill = rented.ask("/bill")
    assert bill["open"] == []
    assert Decimal(answer["cost"]) == Decimal(bill["total"])


def test_the_output_outlives_the_machine(drive: Any) -> None:
    assert _answer(drive("output"))["log"] == "begun\nended\n"


@pytest.mark.parametrize("row", _ROWS)
def test_a_client_killed_at_a_row_leaves_nothing_on_the_bill(drive: Any, rented: Any, row: str) -> None:
    assert drive("run", row).returncode == -signal.SIGKILL
    answer = _answer(drive("wait"))
    assert answer["state"] == "succeeded"
    bill = rented.ask("/bill")
    assert bill["open"] == []
    assert len(bill["rows"]) == 1


@pytest.mark.parametrize("kind", ["reset-after", "half-body", "status-after", "wrong-json"])
def test_a_machine_whose_launch_was_never_answered_is_adopted(drive: Any, rented: Any, kind: str) -> None:
    rented.tell("/fault", kind=kind, match="/instance-operations/launch")
    answer = _answer(drive("run"))
    assert (answer["state"], answer["attempts"]) == ("succeeded", 1)
    assert rented.calls().count("POST /instance-operations/launch") == 1
    assert rented.open() == []


def test_stock_that_is_denied_is_asked_for_once_per_offer(drive: Any, rented: Any) -> None:
    rented.tell("/settings", deny=True)
    answer = _answer(drive("run"))
    assert answer["state"] == "refused"
    assert "insufficient-capacity" in answer["error"]
    assert rented.calls().count("POST /instance-operations/launch") == 2


def test_the_front_door_at_the_documented_pace(start_double: Callable[..., Any], tmp_path: Path) -> None:
    double = start_double("--sshd", str(_SSHD), "--ssh-port", "0")
    (tmp_path / "work").mkdir()
    lepton = [sys.executable, "-m", "lepton_sdk"]
    command = [*lepton, "run", "--provider", "lambda", "--gpu", "A10:1", "--", "sh", "-c", "echo it ran; exit 3"]
    environment = os.environ | double.environment | {"LEPTON_SDK_STATE": str(tmp_path / "state")}
    done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=120)
    asked = subprocess.run([*lepton, "ps", "--all", "--json"], env=environment, capture_output=True, text=True, timeout=60)
    (run,) = json.loads(asked.stdout)
    assert (run["state"], run["exit_code"], run["attempts"]) == ("failed", 3, 1), done.stderr
    exchanges = double.exchanges()
    assert {exchange["status"] for exchange in exchanges} == {200}
    assert double.open() == []
    kept = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
    assert b"double-key" not in kept
    assert b"double-key" not in done.stdout.encode() + done.stderr.encode()


def test_processes_that_use_one_key_share_its_pace(start_double: Callable[..., Any]) -> None:
    double = start_double()
    command = [sys.executable, "-m", "lepton_sdk", "doctor", "lambda"]
    doctors = [subprocess.Popen(command, env=os.environ | double.environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [doctor.wait(60) for doctor in doctors] == [0, 0]
    assert [exchange["status"] for exchange in double.exchanges()] == [200] * 4
