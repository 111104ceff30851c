"""``lepton stop`` waits, and leaves to a follower what it does not wait for."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import pytest
from terminals import LONG, Till, state_of
from waiting import until

Start = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_that_is_interrupted_goes_on(number: int, start: Start, environment: dict[str, str], till: Till) -> None:
    run = start("run", "--name", "long", "--provider", "fake", *LONG)
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    # Its client dies, so that whoever stops the run must give the machine back.
    run.kill()
    run.wait()
    till.hold("release")
    stop = start("stop", "long")
    till.until_asked("release")
    stop.send_signal(number)
    stop.wait(60)
    assert len(till.running()) == 1
    till.let("release")
    until(lambda: not till.running())


def test_a_stop_that_names_no_run_stops_none(start: Start, environment: dict[str, str], till: Till) -> None:
    run = start("run", "--name", "long", "--provider", "fake", *LONG)
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    for words in (["long", "nothing"], ["long", ""], [state_of(environment)["id"][-6:]]):
        assert start("stop", *words).wait(60) == 2
    assert state_of(environment)["state"] == "running"
    assert start("stop", "--now", state_of(environment)["id"][:12]).wait(60) == 0
    assert till.running() == []
