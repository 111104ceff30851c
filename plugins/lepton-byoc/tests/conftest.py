"""A host whose NVML is the stand-in library, seen by the real pynvml in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_SOURCE = _HERE.parents[2] / "tests" / "nvml" / "standin.c"


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 of our own."""
    if not (gcc := shutil.which("gcc")):
        pytest.skip("gcc is not installed, so the NVML stand-in cannot be built")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{library.name}"]
    subprocess.run([gcc, *flags, _SOURCE, "-o", library], check=True)
    return library.parent


class Host:
    """One pretended machine.

    Attributes:
        state: the text that the stand-in reads.
        cache: the provider's folder, shared by all processes of this host.
    """

    def __init__(self, folder: Path, library: Path | None) -> None:
        self.state = folder / "nvml.txt"
        self.cache = folder / "cache"
        self.env = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        self.env["LD_LIBRARY_PATH"] = str(library or folder)
        self.env["NVML_STANDIN"] = str(self.state)

    def has(self, *lines: str) -> None:
        self.state.write_text("\n".join(lines) + "\n")

    def start(self, *steps: list[Any], **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(_HERE / "drive.py"), str(self.cache), json.dumps(steps)]
        return subprocess.Popen(command, env=self.env | env, stdout=subprocess.PIPE, text=True)

    def run(self, *steps: list[Any], **env: str) -> Any:
        return self.answer(self.start(*steps, **env))

    @staticmethod
    def answer(process: subprocess.Popen[str]) -> Any:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return json.loads(out)


@pytest.fixture
def host(tmp_path: Path, nvml_library: Path) -> Host:
    return Host(tmp_path, nvml_library)


@pytest.fixture
def bare_host(tmp_path: Path) -> Host:
    """A host without any NVML library of ours."""
    return Host(tmp_path, None)


@pytest.fixture
def uuid() -> Callable[[int], str]:
    return lambda index: f"GPU-{index:08x}-0000-4000-8000-000000000000"
