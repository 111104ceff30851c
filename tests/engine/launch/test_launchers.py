"""What a launcher puts around the command of a job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import JobSpecError
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def lines(client: Client, run: str, **more: Any) -> list[str]:
    return b"".join(client.logs(run, **more)).decode().splitlines()


def test_torchrun_starts_the_script_on_every_node(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "torchrun").write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    (tools / "torchrun").chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}"}
    client = make_client(cloud)

    def words(command: str) -> list[str]:
        run = client.run(make_job(command, nodes=2, launcher="torchrun", env=env))
        return lines(client, run.id, node=1)

    told = words("python3 train.py --lr '1 0'")
    flags = dict(zip(told[:10:2], told[1:10:2], strict=True))
    port = flags.pop("--master_port")
    assert flags == {"--nnodes": "2", "--node_rank": "1", "--nproc_per_node": "8", "--master_addr": "127.0.0.1"}
    assert port.isdigit()
    assert told[10:] == ["train.py", "--lr", "1 0"]
    assert words("train.py")[10:] == ["train.py"]
    assert words("python -m my.module x")[10:] == ["-m", "my.module", "x"]
    assert words("./program x")[10:] == ["--no_python", "./program", "x"]


@pytest.mark.parametrize("command", ["cd src && python train.py", "python a.py; python b.py", "python a.py\npython b.py"])
def test_torchrun_takes_one_program(command: str, make_job: MakeJob) -> None:
    with pytest.raises(JobSpecError, match="torchrun starts one program"):
        make_job(command, launcher="torchrun")
    assert json.loads(json.dumps(make_job("python a.py ';'", launcher="torchrun").to_dict()))["launcher"] == "torchrun"


@pytest.mark.parametrize("launcher", ["torchrun", "mpi"])
def test_a_launcher_binds_the_nodes_together(launcher: str, make_job: MakeJob) -> None:
    with pytest.raises(JobSpecError, match=f"launcher {launcher} binds the nodes together"):
        make_job("python a.py", launcher=launcher, max_failure_retry=1)
    with pytest.raises(JobSpecError, match="is not a whole number from 0 to 100"):
        make_job(max_failure_retry=101)
