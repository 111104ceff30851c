"""GPUs without work end a job; GPUs that cannot be seen never do. The driver's tool is a stand-in, the rest is real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A folder with an ``nvidia-smi`` that says what a file says, and fails without one."""
    folder = tmp_path / "driver"
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nexec cat {folder}/used\n")
    tool.chmod(0o755)
    return folder


@pytest.fixture
def gpu_host(host: Any, driver: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PATH", f"{driver}:{os.environ['PATH']}")
    return host


def test_a_job_whose_gpus_do_nothing_is_ended(gpu_host: Any, driver: Path) -> None:
    (driver / "used").write_text("0\n0\n")
    run = gpu_host.start("sleep 600", idle_limit=1.0)
    status, _ = gpu_host.result(run)
    assert (status.reason, status.exit_code) == ("idle", 143)


@pytest.mark.parametrize("used", ["0\n37\n", "[N/A]\n[N/A]\n", "", None], ids=["one works", "not told", "none", "no driver"])
def test_work_and_ignorance_are_not_idleness(used: str | None, gpu_host: Any, driver: Path) -> None:
    if used is not None:
        (driver / "used").write_text(used)
    # Many samples long, and longer than the limit by far.
    run = gpu_host.start("i=0; while [ $i -lt 40 ]; do sleep 0.1; i=$((i+1)); done; exit 5", idle_limit=0.5)
    status, _ = gpu_host.result(run)
    assert (status.reason, status.exit_code) == ("exit", 5)


def test_work_in_between_begins_the_time_anew(gpu_host: Any, driver: Path) -> None:
    (driver / "used").write_text("80\n")
    run = gpu_host.start("touch begun; sleep 600", idle_limit=1.0)
    gpu_host.until(lambda: (gpu_host.folder(run) / "work/begun").exists(), 60)
    (driver / "used").write_text("0\n")
    status, _ = gpu_host.result(run)
    assert status.reason == "idle"
