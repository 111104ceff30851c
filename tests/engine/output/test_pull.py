"""Files of a run on this host, while it runs and after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import JobSpecError, UsageError
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_outputs_and_what_is_asked_for(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob, tmp_path: Path) -> None:
    client = make_client(cloud)
    run = client.run(make_job("mkdir a; echo 1 > a/x.pt; echo 2 > y.pt; echo 3 > z", outputs="*.pt"))
    assert sorted(client.pull(run.id, tmp_path / "here")) == ["a/x.pt", "y.pt"]
    assert client.pull("job", tmp_path / "here", ["/z"]) == ("z",)
    assert (tmp_path / "here/z").read_text() == "3\n"


def test_nothing_to_bring_says_so(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob, tmp_path: Path) -> None:
    client = make_client(cloud)
    run = client.run(make_job())
    with pytest.raises(UsageError, match="names no outputs"):
        client.pull(run.id, tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("outputs", ["../x", ["a/../../x"], [""], [3], {"a": 1}, "a\nb"])
def test_patterns_that_do_not_hold_are_refused(outputs: object, make_job: MakeJob) -> None:
    with pytest.raises(JobSpecError, match="outputs: "):
        make_job(outputs=outputs)


def test_the_command_names_what_it_brought(tmp_path: Path) -> None:
    variables = os.environ | {"LEPTON_SDK_STATE": str(tmp_path / "s"), "LEPTON_SDK_CACHE": str(tmp_path / "c")}
    lepton = [sys.executable, "-m", "lepton_sdk"]

    def call(*words: str) -> str:
        command = [*lepton, *words]
        return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    call("run", "--no-workdir", "--name", "made", "--provider", "byoc", "--output", "*.txt", "--", "sh", "-c", "echo hi > a.txt")
    told = json.loads(call("pull", "made", "--json", "--to", "there"))
    assert told == {"target": "there", "files": ["a.txt"]}
    assert (tmp_path / "there/a.txt").read_text() == "hi\n"
    assert "no file of run made fits" not in call("pull", "made", "nothing")
