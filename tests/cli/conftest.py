"""The command as a user has it: a process of its own, in an empty folder, with an empty home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {"HOME": str(tmp_path / "home"), "LEPTON_SDK_STATE": str(tmp_path / "state")}


@pytest.fixture
def lepton(place: Path, environment: dict[str, str]) -> Lepton:
    def call(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lepton_sdk", *words],
            cwd=place,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return call
