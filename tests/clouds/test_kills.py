"""Clients die or freeze at any moment: a fresh one takes over, nothing stays on the bill, nothing is made twice.

A failing instant comes back with ``LEPTON_SDK_SEED``; ``LEPTON_SDK_KILLS`` says how many (a hundred and more by night).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

_MANY = int(os.environ.get("LEPTON_SDK_KILLS", "12"))
_SEED = int(os.environ.get("LEPTON_SDK_SEED") or time.time())
# A run takes so long here; later instants find the client gone, which must do no harm either.
_LIFE = 6.0
_JOB = ("--name", "job", "--", "sh", "-c", "echo begun; sleep 0.5; echo ended")


@pytest.mark.parametrize("number", range(_MANY))
def test_a_client_that_is_killed_anywhere(
    number: int, start: Callable[[str], Any], make_lepton: Any, kill: Any, record_property: Any
) -> None:
    chance = random.Random(_SEED + number)
    name, instant = ("lambda", "crusoe")[number % 2], chance.uniform(0.3, _LIFE)
    record_property("instant", f"{instant:.3f}")
    print(f"LEPTON_SDK_SEED={_SEED} number {number}: {name} killed after {instant:.3f} s")
    cloud = start(name)
    lepton = make_lepton(cloud)
    client = lepton.begin("run", "--provider", name, "--gpu", cloud.gpu, *_JOB)
    time.sleep(instant)
    kill(client)
    lepton.settle(cloud)
    runs = lepton.runs()
    assert [run["state"] for run in runs] in ([], ["succeeded"]), json.dumps(runs, indent=1)


def _freeze(client: subprocess.Popen[str], journal: Path) -> None:
    """Stop a client, but not in the middle of a write: who is frozen there keeps the file's lock, and all others wait for it."""
    for _ in range(100):
        os.killpg(client.pid, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(journal, timeout=0.5, isolation_level=None)) as line:
                line.execute("BEGIN IMMEDIATE")
                line.execute("ROLLBACK")
        except sqlite3.OperationalError:
            os.killpg(client.pid, signal.SIGCONT)
            time.sleep(0.01)
        else:
            return
    raise AssertionError("it was never out of a write")


def test_a_client_that_is_frozen_for_longer_than_its_claim(cloud: Any, lepton: Any, wait_until: Any, tmp_path: Path) -> None:
    client = lepton.begin("run", "--provider", cloud.name, "--gpu", cloud.gpu, *_JOB)
    wait_until(lambda: bool(cloud.creates()), lambda: "nothing was created")
    _freeze(client, tmp_path / "state" / "journal.db")
    try:
        # The fresh client waits until the claim has run out, then drives the run to its end.
        lepton.settle(cloud)
        assert [run["state"] for run in lepton.runs()] == ["succeeded"]
    finally:
        os.killpg(client.pid, signal.SIGCONT)
    out, error = client.communicate(timeout=90)
    assert client.returncode == 0, out + error
    lepton.settle(cloud)
    assert [run["attempts"] for run in lepton.runs()] == [1]
