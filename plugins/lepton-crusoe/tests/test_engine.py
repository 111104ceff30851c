"""Whole runs over the double: machines are loopback sshd hosts, so jobs really run; clients die at every row of the journal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job, RunState

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.skipif(SSHD is None, reason="sshd is not installed, so the double has no hosts"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers on all of 127/8"),
]
# A client of its own process, which is killed at a row of the journal.
_CLIENT = """
import os, sys
from pathlib import Path
from lepton_sdk import Client, Job
folder, kill_at = Path(sys.argv[1]), sys.argv[2]
def on_event(event):
    if event.kind == kill_at:
        os.kill(os.getpid(), 9)
job = Job("echo begun; sleep 0.3; echo ended", resources={"gpu": "L40S:1", "providers": ["crusoe"]}, name="long")
with Client(state=folder / "state", cache=folder / "cache") as client:
    client.run(job, on_event=on_event)
"""


@pytest.fixture
def cloud(make_double: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A double whose machines are sshd hosts, and the environment that leads to it."""
    double = make_double("--sshd", str(SSHD), "--ssh-port", "0", boot=0, end=0)
    for name, value in {**double.environment, "LEPTON_SDK_PROVIDERS_CRUSOE_PRICES": "l40s-48gb=1.50"}.items():
        monkeypatch.setenv(name, value)
    return double


@pytest.fixture
def client(tmp_path: Path, cloud: Any) -> Any:
    with Client(state=tmp_path / "state", cache=tmp_path / "cache") as one:
        yield one


def _job(command: str) -> Job:
    return Job(command, resources={"gpu": "L40S:1", "providers": ["crusoe"]}, name="long")


def test_a_job_runs_and_the_bill_is_ours(cloud: Any, client: Client) -> None:
    run = client.run(_job("echo on $LEPTON_RUN_ID; exit 3"))
    assert (run.state, run.exit_code) == (RunState.FAILED, 3)
    assert run.id.encode() in b"".join(client.logs(run.id))
    bill = cloud.ask("/bill")
    assert bill["open"] == []
    cost = run.cost(datetime.now(UTC))
    assert cost is not None
    assert float(cost.amount) == pytest.approx(float(bill["total"]), abs=0.001)
    assert client.nodes() == []


def test_the_owners_key_opens_the_machine(cloud: Any, client: Client) -> None:
    opened: list[str] = []

    def look(event: Any) -> None:
        if event.kind == "node.reachable":
            access = event.data["node"]["access"]
            target = ["-p", str(access["port"]), "-i", access["identity"], f"{access['user']}@{access['host']}", "echo", "in"]
            strict = [
                "-F",
                "none",
                "-o",
                # The vendor says that a machine runs before its sshd listens.
                "ConnectionAttempts=30",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ]
            done = subprocess.run(["ssh", *strict, *target], capture_output=True, text=True, timeout=60)
            opened.append(done.stdout or done.stderr)

    client.run(_job("true"), on_event=look)
    assert opened == ["in\n"]


def _die_at(row: str, folder: Path) -> None:
    words = [sys.executable, "-c", _CLIENT, str(folder), row]
    died = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert died.returncode == -signal.SIGKILL, died.stderr


ROWS = ["node.owned", "node.reachable", "node.running", "node.finished", "node.releasing", "node.released"]


@pytest.mark.parametrize("row", ROWS)
def test_a_client_killed_at_a_row_leaves_nothing_on_the_bill(row: str, tmp_path: Path, cloud: Any, client: Client) -> None:
    _die_at(row, tmp_path)
    run = client.wait("long")
    assert run.state is RunState.SUCCEEDED
    if row in ("node.owned", "node.reachable", "node.running"):
        # Output lies on the machine: what nobody has read when it is given back is gone with it.
        assert b"".join(client.logs(run.id)) == b"begun\nended\n"
    assert cloud.open() == []
    assert [row["kind"] for row in cloud.ask("/bill")["rows"]] == ["machine", "disk"]


def test_a_client_killed_before_the_call_has_made_nothing(tmp_path: Path, cloud: Any, client: Client) -> None:
    _die_at("node.intended", tmp_path)
    # The call may have left for all that the journal knows, so the row stays open for as long as a machine may appear.
    client.reconcile()
    assert [node.state for node in client.nodes()] == ["intended"]
    assert cloud.ask("/bill")["rows"] == []


def test_a_machine_of_a_lost_reply_is_adopted(cloud: Any, client: Client) -> None:
    cloud.tell("/fault", kind="reset-after", match="POST .*/instances")
    run = client.run(_job("true"))
    assert run.state is RunState.SUCCEEDED
    assert cloud.calls("POST") == ["POST /v1/projects/*/compute/vms/instances"]
    assert cloud.open() == []
