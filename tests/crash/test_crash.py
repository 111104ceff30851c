"""Clients as real processes die, freeze and compete over a cloud behind HTTP: nothing stays on the bill, nothing runs twice.

The instants of a failure come back with ``LEPTON_SDK_SEED``; ``LEPTON_SDK_KILLS`` says how many for each kind of journal.
"""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

_MANY = int(os.environ.get("LEPTON_SDK_KILLS", "100"))
_SEED = int(os.environ.get("LEPTON_SDK_SEED") or time.time())
# A run takes about so long here; later instants find the client gone, which must do no harm either.
_LIFE = 3.0
_CROWD = 25
_AT_ONCE = 3
_ROWS = [
    "run.planned",
    "node.intended",
    "node.owned",
    "node.reachable",
    "node.running",
    "node.finished",
    "node.releasing",
    "node.released",
    "run.finished",
]


@pytest.mark.parametrize("row", _ROWS)
def test_a_client_that_dies_at_a_row(row: str, scene: Any) -> None:
    client = scene.run(RENTAL_DIE_AT=row)
    out = client.communicate(timeout=120)[0]
    assert client.returncode == -signal.SIGKILL, out
    assert len(scene.settle()) == 1


@pytest.mark.parametrize("crowd", range(_MANY // _CROWD))
def test_clients_that_are_killed_anywhere(crowd: int, scene: Any) -> None:
    """A few at a time have a run each in one journal, and every one is killed; only then somebody looks after what they left."""
    chance = random.Random(_SEED + crowd)
    print(f"LEPTON_SDK_SEED={_SEED} crowd {crowd}")

    def begin_and_kill(instant: float) -> None:
        client = scene.run()
        time.sleep(instant)
        scene.kill(client)

    with ThreadPoolExecutor(_AT_ONCE) as few:
        list(few.map(begin_and_kill, [chance.uniform(0.2, _LIFE) for _ in range(_CROWD)]))
    assert len(scene.settle()) <= _CROWD


@pytest.mark.parametrize("number", range(_MANY // _CROWD))
def test_one_of_two_clients_is_killed_and_the_other_goes_on(number: int, scene: Any) -> None:
    """Both have a run of their own, and a third follows everything: rows are taken over while others are written."""
    chance = random.Random(_SEED - number)
    service = scene.begin("follow")
    clients = [scene.run("first"), scene.run("second")]
    for victim in chance.sample([service, *clients], 2):
        time.sleep(chance.uniform(0.2, _LIFE / 2))
        scene.kill(victim)
    for survivor in clients:
        if not survivor.stdout.closed:
            out = survivor.communicate(timeout=120)[0]
            assert survivor.returncode == 0, out
    assert len(scene.settle()) <= 2


@pytest.mark.parametrize("when", ["before the call is answered", "while the job runs"])
def test_a_client_that_stands_still_for_longer_than_its_claim(when: str, scene: Any) -> None:
    client = scene.run()
    if when == "while the job runs":
        scene.until(lambda: bool(scene.ran.read_text()), lambda: "nothing ran")
    else:
        scene.until(lambda: bool(scene.books()["creates"]), lambda: "nothing was made")
    os.killpg(client.pid, signal.SIGSTOP)
    try:
        assert len(scene.settle()) == 1
    finally:
        os.killpg(client.pid, signal.SIGCONT)
    out = client.communicate(timeout=120)[0]
    assert client.returncode == 0, out
    # What woke up has done nothing of its own.
    assert [run["attempts"] for run in scene.settle()] == [1]
