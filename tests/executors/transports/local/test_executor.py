"""Copies of a workdir on their way to a run: each is taken by one keeper, and none stays behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.errors import JobCancelled, NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState


def places(host: Any) -> list[str]:
    folder = host.runs.parent / "in"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project/folder").mkdir(parents=True)
    (tmp_path / "project/folder/file").write_text("given\n")
    return tmp_path / "project"


def test_no_copy_is_left_beside_a_run(host: Any, project: Path) -> None:
    (project / "folder").chmod(0o500)
    run = host.start("cat folder/file", workdir=project)
    host.start(run)
    assert host.result(run)[1] == b"given\n"
    host.until(lambda: places(host) == [])


def test_a_run_that_was_started_or_cancelled_before_gets_no_copy(
    host: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = host.start("cat folder/file", workdir=project)
    monkeypatch.setattr("lepton_sdk._executors.workdir.copy.copy_workdir", lambda *_, **__: pytest.fail("copied"))
    host.start(run)
    cancelled = host.execution("cat folder/file", workdir=project)
    host.cancel(cancelled)
    with pytest.raises(JobCancelled):
        host.start(cancelled)


def test_what_a_client_left_that_died_while_it_copied_is_removed_after_a_day(host: Any, project: Path) -> None:
    old, young = (host.runs.parent / "in" / name for name in ("old", "young"))
    for place in (old, young):
        (place / "work/half").mkdir(parents=True)
    os.utime(old, (time.time() - 90_000,) * 2)
    host.result(host.start("true", workdir=project))
    host.until(lambda: places(host) == ["young"])


def test_a_keeper_that_is_slow_keeps_the_files_of_its_run(
    host: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ln").write_text('#!/bin/sh\nsleep 2\nexec /bin/ln "$@"\n')
    (tools / "ln").chmod(0o755)
    with monkeypatch.context() as slow:
        slow.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        slow.setattr("lepton_sdk._executors.transports.local.shell._START_SECONDS", 0.5)
        run = host.execution("cat folder/file", workdir=project)
        host.begun.append(run)
        with pytest.raises(NodeUnreachable, match="did not answer"):
            host.start(run)
    host.until(lambda: host.poll(run).state is not ExecutionState.ABSENT)
    host.start(run)
    assert host.result(run)[1] == b"given\n"
