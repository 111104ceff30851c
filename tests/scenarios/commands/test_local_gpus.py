"""GPUs of this machine through the whole command: the real pynvml over a stand-in library."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def two_gpus(tmp_path: Path) -> dict[str, str]:
    if not (gcc := shutil.which("gcc")):
        pytest.skip("gcc is not installed, so the NVML stand-in cannot be built")
    library = tmp_path / "nvml" / "libnvidia-ml.so.1"
    library.parent.mkdir()
    source = Path(__file__).parents[2] / "nvml" / "standin.c"
    subprocess.run([gcc, "-shared", "-fPIC", f"-Wl,-soname,{library.name}", source, "-o", library], check=True)
    (tmp_path / "nvml.txt").write_text("gpus 2\n")
    return {"LD_LIBRARY_PATH": str(library.parent), "NVML_STANDIN": str(tmp_path / "nvml.txt")}


def test_a_gpu_that_a_run_holds_is_not_given_to_another(lepton: Lepton, two_gpus: dict[str, str]) -> None:
    words = ["sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 300"]
    for name in ("first", "second"):
        done = lepton("run", "--detach", "--gpu", "H100:1", "--name", name, "--", *words, **two_gpus)
        assert done.returncode == 0, done.stderr
        end = time.monotonic() + 30
        while not lepton("logs", name).stdout:
            assert time.monotonic() < end, "the run did not begin"
    first, second = (lepton("logs", name).stdout.strip() for name in ("first", "second"))
    assert first.startswith("GPU-")
    assert second.startswith("GPU-")
    assert first != second
    # Both are taken, so a third is refused and told why, and nothing is written.
    third = lepton("run", "--gpu", "H100:1", "--", "true", **two_gpus)
    assert third.returncode == 69
    assert "in use" in third.stderr
    offers = json.loads(lepton("offers", "--gpu", "H100:1", "--provider", "byoc", "--json", **two_gpus).stdout)
    assert [offer["availability"] for offer in offers] == ["busy"]
    lepton("stop", "first")
    again = lepton("run", "--gpu", "H100:1", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES", **two_gpus)
    assert again.stdout.strip() == first
    lepton("stop", "second")


def test_gpus_of_a_dead_clients_run_are_free_once_it_ended(
    lepton: Lepton, two_gpus: dict[str, str], place: Path, environment: dict[str, str]
) -> None:
    import sys

    command = [sys.executable, "-m", "lepton_sdk", "run", "--gpu", "H100:2", "--", "sh", "-c", "echo begun; sleep 0.3; echo over"]
    client = subprocess.Popen(command, cwd=place, env=environment | two_gpus, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert client.stdout is not None
    with client:
        assert client.stdout.readline() == b"begun\n"
        client.kill()
    end = time.monotonic() + 30
    while lepton("run", "--gpu", "H100:2", "--", "true", **two_gpus).returncode:
        assert time.monotonic() < end, "the GPUs were never given back"


def test_a_broken_driver_is_told_and_a_job_without_gpus_runs(lepton: Lepton, two_gpus: dict[str, str]) -> None:
    Path(two_gpus["NVML_STANDIN"]).write_text("gpus 2\ninit 18\n")
    done = lepton("run", "--", "echo", "fine", **two_gpus)
    assert done.stdout == "fine\n"
    assert "warning" in done.stderr
    assert "ersion" in lepton("offers", **two_gpus).stderr
    assert lepton("run", "--gpu", "H100:1", "--", "true", **two_gpus).returncode == 69
