"""A real all-reduce between the nodes of one run, where PyTorch is installed (TORCHRUN names its torchrun)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job, RunState
from lepton_sdk.testing import FAKE_SPEC, fake_offer

_TRAIN = """
import os, sys
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
mine = torch.tensor([float(2 ** dist.get_rank())])
dist.all_reduce(mine)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(mine), flush=True)
if "--fail" in sys.argv and dist.get_rank() == 1:
    sys.exit(9)
dist.barrier()
"""


@pytest.fixture
def client(make_server: Any, cloud_of: Any, tmp_path: Path) -> Iterator[Client]:
    cloud = cloud_of(fake_offer("cpu", gpu=None), make_server(), make_server())
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        yield client


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text(_TRAIN)
    return folder


@pytest.fixture
def path() -> str:
    found = os.environ.get("TORCHRUN") or shutil.which("torchrun")
    if found is None:
        pytest.skip("torchrun is not installed (pip install torch)")
    return f"{Path(found).parent}:/usr/local/bin:/usr/bin:/bin"


def test_two_hosts_meet_and_add_up(client: Client, project: Path, path: str) -> None:
    job = Job("python train.py", workdir=project, nodes=2, launcher="torchrun", env={"PATH": path, "OMP_NUM_THREADS": "1"})
    run = client.run(job)
    output = b"".join(client.logs(run.id)).decode()
    assert run.state is RunState.SUCCEEDED, output
    told = {line[4:] for line in output.splitlines() if "sum" in line}
    assert told == {"rank 0 of 2 sum 3", "rank 1 of 2 sum 3"}


def test_one_that_fails_ends_both(client: Client, project: Path, path: str) -> None:
    command = "python train.py --fail"
    run = client.run(Job(command, workdir=project, nodes=2, launcher="torchrun", env={"PATH": path, "OMP_NUM_THREADS": "1"}))
    assert run.state is RunState.FAILED
    assert all(node.exit_code for node in run.members)
