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

# PyTorch 1.13 forgets on Python 3.11 that output goes nowhere else, and ends; told of a rank that never is, it does not.
_OF_DEBIAN_12 = {"PET_REDIRECTS": "9:3", "PET_TEE": "9:3"}


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
def env() -> dict[str, str]:
    found = os.environ.get("TORCHRUN") or shutil.which("torchrun")
    if found is None:
        pytest.skip("torchrun is not installed (python3-torch, or pip install torch)")
    env = {"PATH": f"{Path(found).parent}:/usr/local/bin:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return env | (_OF_DEBIAN_12 if found == "/usr/bin/torchrun" else {})


def test_two_hosts_meet_and_add_up(client: Client, project: Path, env: dict[str, str]) -> None:
    run = client.run(Job("python train.py", workdir=project, nodes=2, launcher="torchrun", env=env))
    output = b"".join(client.logs(run.id)).decode()
    assert run.state is RunState.SUCCEEDED, output
    told = {line[4:] for line in output.splitlines() if "sum" in line}
    assert told == {"rank 0 of 2 sum 3", "rank 1 of 2 sum 3"}


def test_one_that_fails_ends_both(client: Client, project: Path, env: dict[str, str]) -> None:
    run = client.run(Job("python train.py --fail", workdir=project, nodes=2, launcher="torchrun", env=env))
    output = b"".join(client.logs(run.id)).decode()
    assert run.state is RunState.FAILED
    assert "rank 1 of 2 sum 3" in output
    assert all(node.exit_code for node in run.members)
