"""Signals: heard at any time, and interrupting nothing by themselves."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_without_a_terminal_stops_and_gives_back(
    number: signal.Signals, long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton
) -> None:
    process = long_run()
    process.send_signal(number)
    process.communicate(timeout=30)
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "stopped"
    assert json.loads(lepton("nodes", "--json").stdout) == []


def test_a_second_interrupt_leaves_no_more_behind_than_the_first(
    long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton
) -> None:
    process = long_run()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping the run" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
    process.communicate(timeout=60)
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "stopped"
    assert json.loads(lepton("nodes", "--json").stdout) == []


Start = Callable[..., subprocess.Popen[str]]


def test_a_hangup_that_was_ignored_stays_ignored(start: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = ["--", "sh", "-c", f"echo begun; while ! [ -e {go} ]; do sleep 0.05; done; echo ended"]
    process = start("run", *job, ignored=signal.SIGHUP)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    go.touch()
    assert process.stdout.read() == "ended\n"
    assert process.wait(60) == 0
