"""What of a job's image, GPUs and credentials reaches an engine, in words; no engine is needed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Job
from lepton_sdk._executors.container import contained
from lepton_sdk.errors import JobSpecError
from lepton_sdk.spi.executor import Execution


def test_the_choice_of_gpus_and_credentials_in_words() -> None:
    job = Job(
        "true",
        image="registry.example:5000/team/box:1",
        container={"registry": {"username": "me", "password": "PULL_KEY"}, "ports": [8888, "9000:80"]},
        secrets=["PULL_KEY"],
    )
    told = contained(
        Execution("r", 1, 1, 0, job, environment={"CUDA_VISIBLE_DEVICES": "GPU-1"}, secrets={"PULL_KEY": "hush"})
    ).job
    assert told.image is None
    assert 'printf %s "$PULL_KEY" | "$engine" login --username me --password-stdin registry.example:5000' in str(told.setup)
    assert "hush" not in str(told)
    assert "--publish 8888 --publish 9000:80" in told.command
    assert "--network" not in told.command
    assert "--env CUDA_VISIBLE_DEVICES" not in told.command


def argv_of(gpus: str, visible: str, engine: str, tmp_path: Path) -> str:
    """What the script calls an engine with, told by one that only prints."""
    (tmp_path / engine).write_text('#!/bin/sh\ncase $1 in run) echo "$@" ;; esac\n')
    (tmp_path / engine).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NGPUS": gpus} | ({"CUDA_VISIBLE_DEVICES": visible} if visible else {})
    command = contained(Execution("r", 1, 1, 0, Job("true", image="box"), environment={"NGPUS": gpus})).job.command
    return subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("gpus", "visible", "engine", "words"),
    [
        ("2", "GPU-1,GPU-2", "docker", '--gpus "device=GPU-1,GPU-2"'),
        ("8", "", "docker", "--gpus all"),
        ("2", "GPU-1,GPU-2", "podman", "--device nvidia.com/gpu=GPU-1 --device nvidia.com/gpu=GPU-2"),
        ("8", "", "podman", "--device nvidia.com/gpu=all"),
    ],
)
def test_gpus_reach_the_engine(gpus: str, visible: str, engine: str, words: str, tmp_path: Path) -> None:
    if engine == "podman" and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        pytest.skip("a Docker engine works here and goes first")
    assert words in argv_of(gpus, visible, engine, tmp_path)


def test_no_gpu_asks_for_none(tmp_path: Path) -> None:
    assert "gpu" not in argv_of("0", "", "docker", tmp_path).partition("box")[0].replace("--env NGPUS", "")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"image": "-rm"}, "image: '-rm'"),
        ({"image": "a b"}, "image: 'a b'"),
        ({"container": {"user": "x"}}, "there is no image"),
        ({"image": "a", "container": {"shm": 1}}, "container.shm: unknown key"),
        ({"image": "a", "container": {"ports": ["70000"]}}, "container.ports"),
        ({"image": "a", "container": {"mounts": {"data": "/data"}}}, "no absolute path"),
        ({"image": "a", "container": {"mounts": {"/a/../b": "/data"}}}, "no absolute path"),
        ({"image": "a", "container": {"user": "$(id)"}}, "container.user"),
        ({"image": "a", "container": {"workdir": "w"}}, "container.workdir"),
        ({"image": "a", "container": {"registry": {"username": "me", "password": "s3cret!"}}}, "never the value"),
        ({"image": "a", "container": {"registry": {"username": "me", "password": "KEY"}}}, "none of the job's secrets"),
        ({"image": "a", "container": {"registry": {"username": "me"}}}, "container.registry.password"),
    ],
)
def test_what_does_not_hold_is_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(JobSpecError, match=word.replace("$", "\\$").replace("(", "\\(")):
        Job("true", **fields)


def test_a_container_survives_the_journal() -> None:
    box = {"shm_size": 16.0, "ports": ["8888"], "mounts": {"/a": "/b:ro"}, "user": "1000:1000", "workdir": "/w"}
    registry = {"username": "me", "password": "KEY", "server": "r.example"}
    job = Job("true", image="a/b:c", container=box | {"registry": registry}, secrets=["KEY"])
    assert Job.from_dict(job.to_dict()) == job
    assert job.to_dict()["container"] == box | {"registry": registry}
