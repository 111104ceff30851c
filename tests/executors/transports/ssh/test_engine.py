"""The whole way: a client takes a machine that is reached by SSH, really runs there, and gives it back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, RunState
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import UsageError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

_CLIENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_engine import BehindSSH
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC
folder, port, key = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
cloud = BehindSSH(folder / "cloud", port, key)
with Client(state=folder / "state", cache=folder / "cache", providers={FAKE_SPEC: cloud}) as client:
    job = Job("echo begun; while ! [ -e go ]; do sleep 0.02; done; echo ended", resources="H100:8", name="long")
    client.run(job, on_output=lambda data: print(data.decode(), end="", flush=True))
"""


class BehindSSH(FakeProvider):
    """A cloud whose machines are all one sshd."""

    def __init__(self, folder: Path, port: int, key: str) -> None:
        super().__init__(folder)
        self._access = SSHAccess("127.0.0.1", user="", port=port, host_keys=(key,))

    def _node(self, record: dict[str, Any]) -> Node:
        return evolve(super()._node(record), access=self._access)


@pytest.fixture
def cloud(server: Any, tmp_path: Path) -> BehindSSH:
    return BehindSSH(tmp_path / "cloud", server.port, server.host_key)


@pytest.fixture
def client(cloud: BehindSSH, tmp_path: Path) -> Iterator[Client]:
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        yield client


def test_a_run_goes_there_and_its_machine_is_given_back(client: Client, cloud: BehindSSH, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/train.sh").write_text("echo accuracy $SEED; exit 3\n")
    output: list[bytes] = []
    job = Job("sh train.sh", workdir=tmp_path / "project", env={"SEED": "0.97"}, resources="H100:8")
    run = client.run(job, on_output=output.append)
    assert b"".join(output) == b"accuracy 0.97\n"
    assert (run.state, run.exit_code) == (RunState.FAILED, 3)
    assert b"".join(client.logs(run.id)) == b"accuracy 0.97\n"
    assert cloud.running() == []


def test_stop_ends_the_job_there(client: Client, cloud: BehindSSH, server: Any, until: Callable[..., Any]) -> None:
    job = Job("echo ready; sleep 300", resources="H100:8", name="endless")
    output: list[bytes] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, job, on_output=output.append)
        until(lambda: output == [b"ready\n"])
        client.stop("endless")
        assert running.result(60).state is RunState.STOPPED
    assert cloud.running() == []
    (start,) = server.home.glob(".lepton/runs/*/*/status")
    assert "reason cancelled" in start.read_text()


def test_a_reader_outlives_the_machine(client: Client, cloud: BehindSSH, server: Any, until: Callable[..., Any]) -> None:
    """It is not the reader's connection that says what became of a run."""
    job = Job("echo ready; sleep 300", resources="H100:8", retry={"interruption": 0})
    output: list[bytes] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, job, on_output=output.append)
        until(lambda: output == [b"ready\n"])
        server.stop()
        (node,) = cloud.running()
        asyncio.run(cloud.release(node))
        ended = running.result(120)
    assert ended.state is RunState.LOST
    assert output == [b"ready\n"]
    assert cloud.running() == []


def test_a_client_that_is_killed_loses_nothing(client: Client, cloud: BehindSSH, server: Any, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _CLIENT, str(Path(__file__).parent), str(tmp_path), str(server.port), server.host_key]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"begun\n"
        first.kill()
    (work,) = (server.home / ".lepton/runs").glob("*/*/work")
    os.close(os.open(work / "go", os.O_CREAT))
    run = client.wait("long")
    assert run.state is RunState.SUCCEEDED
    assert b"".join(client.logs(run.id)) == b"begun\nended\n"
    assert cloud.running() == []
    assert len(cloud.machines()) == 1


def test_outputs_are_kept_when_the_machine_is_given_back(client: Client, cloud: BehindSSH, tmp_path: Path) -> None:
    command = 'mkdir results; echo "of $RANK" > results/told; echo no > other; exit 4'
    run = client.run(Job(command, resources="H100:8", outputs=["results/"], nodes=2))
    assert (run.state, run.exit_code) == (RunState.FAILED, 4)
    assert cloud.running() == []
    assert client.pull(run.id, tmp_path / "here") == ("0/results/told", "1/results/told")
    assert [(tmp_path / f"here/{rank}/results/told").read_text() for rank in range(2)] == ["of 0\n", "of 1\n"]
    # What was not named is gone with the machine.
    assert client.pull(run.id, tmp_path / "here", ["other"]) == ()
    with pytest.raises(UsageError, match="names no outputs"):
        client.pull(client.run(Job("true", resources="H100:8")).id, tmp_path / "here")
    with pytest.raises(UsageError, match="nothing of it was kept"):
        client.pull(client.run(Job("true", resources="H100:8")).id, tmp_path / "here", ["other"])


def test_outputs_that_were_not_kept_whole_are_offered_as_far_as_they_came(client: Client, tmp_path: Path) -> None:
    run = client.run(Job("mkdir r; echo one > r/a; mkfifo r/pipe; ln -s / r/root", resources="H100:8", outputs=["r/"]))
    told = [line for line in client.warnings() if " is missing: " in line]
    assert {line.split(" is missing: ")[0].split()[-1] for line in told} == {"r/pipe", "r/root"}
    assert client.pull(run.id, tmp_path / "here") == ("r/a",)
    (kept,) = (tmp_path / "state/runs").glob("*/*/outputs")
    part = kept.rename(kept.with_name("outputs.part"))
    assert client.pull(run.id, tmp_path / "there") == ("r/a",)
    assert any("could not be kept whole" in line and str(part) in line for line in client.warnings())
    shutil.rmtree(part)
    with pytest.raises(UsageError, match=r"its outputs \(r/\) could not be kept"):
        client.pull(run.id, tmp_path / "nowhere")


def test_one_node_that_has_nothing_keeps_nobody_from_the_others(client: Client, tmp_path: Path) -> None:
    run = client.run(Job("echo $RANK > out", resources="H100:8", outputs=["out"], nodes=2))
    (kept,) = (tmp_path / "state/runs").glob("*/1-0/outputs")
    shutil.rmtree(kept)
    assert client.pull(run.id, tmp_path / "here") == ("1/out",)
    assert any("nothing could be brought of node 0" in line for line in client.warnings())


@pytest.fixture
def armed(cloud: BehindSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of a cloud whose machines get a watchdog over SSH; its power-off leaves a line."""
    if os.getuid() != 0:
        pytest.skip("a watchdog is the superuser's")
    monkeypatch.setattr("lepton_sdk._engine.launch.watchdog.FOLDER", str(tmp_path / "watchdog"))
    monkeypatch.setattr("lepton_sdk._engine.launch.watchdog._POWER_OFF", f"echo off >>{tmp_path}/off")
    spec = evolve(FAKE_SPEC, power_off="ends", watchdog="login", timings=evolve(FAKE_SPEC.timings, boot=120))
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={spec: cloud}) as client:
        yield client
    if (tmp_path / "watchdog/state").exists():
        os.kill(int((tmp_path / "watchdog/state").read_text().split()[5]), signal.SIGKILL)


def test_a_job_begins_once_its_watchdog_lives(armed: Client, cloud: BehindSSH, tmp_path: Path) -> None:
    run = armed.run(Job("echo fine", resources="H100:8", limits={"duration": "1h", "total": 50, "keep": "10m"}))
    assert run.state is RunState.SUCCEEDED, run.error
    kinds = [event.kind for event in armed.events(run.id)]
    assert kinds.index("node.owned") < kinds.index("node.armed") < kinds.index("node.reachable") < kinds.index("node.running")
    plan = dict(line.split("=", 1) for line in (tmp_path / "watchdog/plan").read_text().splitlines())
    # 50 buy 7500 seconds at 24 an hour, of which the job leaves six minutes, so that the node itself comes first.
    assert (plan["limit"], plan["budget"], plan["keep"]) == ("390000", "750000", "60000")
    assert list((tmp_path / "watchdog/runs").iterdir())
    assert (cloud.running(), (tmp_path / "off").exists()) == ([], False)


def test_a_machine_that_cannot_be_armed_is_given_back_unused(armed: Client, cloud: BehindSSH, tmp_path: Path) -> None:
    (tmp_path / "watchdog").write_text("not a folder")
    run = armed.run(Job("echo never", resources="H100:8"))
    (tmp_path / "watchdog").unlink()
    assert run.state is RunState.REFUSED
    assert "watchdog cannot be installed" in str(run.error)
    assert "node.running" not in [event.kind for event in armed.events(run.id)]
    assert cloud.running() == []
