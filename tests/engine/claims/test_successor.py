"""The follower that goes on when its client ends."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from lepton_sdk import Client, Job


def test_a_detached_run_keeps_its_secrets_though_others_wait_for_it(tmp_path: Path) -> None:
    environment = {**os.environ, "TOKEN": "t0k3n"}
    with Client(state=tmp_path / "s", cache=tmp_path / "c", environment=environment) as client:
        run = client.submit(Job('test "$(printf %s "$TOKEN" | tr 0-9 a-j)" = takdn', secrets=["TOKEN"]))
        assert client.wait(run.id).exit_code == 0


def test_a_follower_that_has_ended_stays_in_no_list_of_processes(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c") as client:
        before = _children()
        run = client.submit(Job("true"))
        assert client.wait(run.id).exit_code == 0
        end = time.monotonic() + 60
        # One that an earlier test has left may end meanwhile.
        while not _children() <= before:
            assert time.monotonic() < end, "its process is still there"
            time.sleep(0.05)


def _children() -> set[str]:
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    if not listed.exists():
        pytest.skip("/proc does not list children here")
    return set(listed.read_text().split())
