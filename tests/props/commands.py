"""The command as a user has it: a process of its own, in an empty folder, with an empty home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import Terminal, Till

Lepton = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
_TILL = Path(__file__).parent / "till"
_ENTRY_POINTS = """
[lepton_sdk.providers.v1]
fake = lepton_till:PROVIDER
[lepton_sdk.executors.v1]
till = lepton_till:EXECUTOR
"""


@pytest.fixture
def terminals(place: Path, environment: dict[str, str]) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()
    subprocess.run([sys.executable, "-m", "lepton_sdk", "stop", "long"], env=environment, capture_output=True)


@pytest.fixture
def till(tmp_path: Path, environment: dict[str, str]) -> Iterator[Till]:
    """A cloud on the bill, installed beside the project in every process that has ``environment``."""
    about = tmp_path / "site" / "lepton_till-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lepton-till\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(_ENTRY_POINTS)
    environment["PYTHONPATH"] = os.pathsep.join((str(about.parent), str(_TILL)))
    environment["LEPTON_SDK_PROVIDERS_FAKE_FOLDER"] = str(tmp_path / "till")
    cloud = Till(tmp_path / "till")
    cloud.folder.mkdir()
    yield cloud
    for what in ("create", "release"):
        (cloud.folder / f"hold-{what}").unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "lepton_sdk", "stop", "long"], env=environment, capture_output=True)


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


@pytest.fixture
def start(place: Path, environment: dict[str, str]) -> Iterator[Start]:
    """The command in the background; with ``ignored``, one that ignores this signal from its start."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, ignored: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "lepton_sdk", *words],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(ignored, signal.SIG_IGN) if ignored else None,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def long_run(lepton: Lepton, place: Path, environment: dict[str, str]) -> Iterator[Start]:
    """A run on this machine whose job goes on for as long as its test."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> subprocess.Popen[str]:
        words = ["run", *flags, "--name", "long", "--", "sh", "-c", "echo begun; exec sleep 300"]
        process = subprocess.Popen(
            [sys.executable, "-m", "lepton_sdk", *words],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    lepton("stop", "long")
    for process in started:
        process.kill()
        process.communicate()
