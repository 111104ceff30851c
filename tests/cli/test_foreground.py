"""However the foreground of a run ends, the run has ended or somebody follows it: real terminals, pipes and signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminals import LONG, Terminal, Till, state_of
from waiting import until

_TALK = ["--", "sh", "-c", "echo begun; while :; do echo on; sleep 0.05; done"]


Start = Callable[..., subprocess.Popen[str]]


def _read_to(stream: Any, text: str) -> str:
    seen = ""
    while text not in seen:
        line = stream.readline()
        assert line, f"it ended before {text!r}:\n{seen}"
        seen += line
    return seen


def _ended_by_interrupt(process: subprocess.Popen[str]) -> bool:
    process.send_signal(signal.SIGINT)
    return process.poll() is not None


@pytest.mark.parametrize("job", [_TALK, LONG], ids=["a job that talks", "a silent job"])
def test_a_terminal_that_is_closed_stops_the_run(
    job: list[str], terminals: list[Terminal], place: Path, environment: dict[str, str], till: Till
) -> None:
    terminals.append(Terminal(["run", "--name", "long", "--provider", "fake", *job], place, environment))
    terminals[0].until("begun")
    terminals[0].vanish()
    terminals[0].process.wait(60)
    assert state_of(environment)["state"] == "stopped"
    assert till.running() == []


def test_a_terminal_that_is_closed_at_the_question_stops_the_run(
    terminals: list[Terminal], place: Path, environment: dict[str, str], till: Till
) -> None:
    terminals.append(Terminal(["run", "--name", "long", "--provider", "fake", *_TALK], place, environment))
    terminals[0].until("begun")
    terminals[0].type("\x03")
    terminals[0].until("[d]etach")
    terminals[0].vanish()
    terminals[0].process.wait(60)
    assert state_of(environment)["state"] == "stopped"
    assert till.running() == []


@pytest.mark.parametrize(("typed", "asked"), [("\x03", 1), ("\n", 1), ("what?\ns\n", 2), ("\x04", 1)])
def test_no_answer_at_the_question_leaves_anything_billed(
    typed: str, asked: int, terminals: list[Terminal], place: Path, environment: dict[str, str], till: Till
) -> None:
    terminals.append(Terminal(["run", "--name", "long", "--provider", "fake", *LONG], place, environment))
    terminal = terminals[0]
    terminal.until("begun")
    terminal.type("\x03")
    terminal.until("(Enter: stop) ")
    for line in typed.splitlines(keepends=True):
        terminal.type(line)
    terminal.until("stopped")
    terminal.process.wait(60)
    assert terminal.seen.count("[d]etach") == asked
    assert till.running() == []


def test_a_bare_enter_leaves_a_run_that_costs_nothing(
    terminals: list[Terminal], place: Path, environment: dict[str, str]
) -> None:
    terminals.append(Terminal(["run", "--name", "long", *LONG], place, environment))
    terminals[0].until("begun")
    terminals[0].type("\x03")
    terminals[0].until("(Enter: detach) ")
    terminals[0].type("\n")
    terminals[0].until("goes on")
    terminals[0].process.wait(60)
    assert state_of(environment)["state"] == "running"


def test_a_run_that_ends_while_it_is_asked_ends_the_question(
    terminals: list[Terminal], place: Path, environment: dict[str, str]
) -> None:
    go = place.parent / "go"
    job = ["--", "sh", "-c", f"echo begun; while ! [ -e {go} ]; do sleep 0.05; done; echo ended; exit 5"]
    terminals.append(Terminal(["run", "--name", "long", *job], place, environment))
    terminals[0].until("begun")
    terminals[0].type("\x03")
    terminals[0].until("[d]etach")
    go.touch()
    terminals[0].until("exit code 5")
    assert terminals[0].process.wait(60) == 5
    assert "ended" in terminals[0].seen


def test_a_reader_that_leaves_stops_the_run(start: Start, environment: dict[str, str], till: Till) -> None:
    process = start("run", "--name", "long", "--provider", "fake", *_TALK)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.stdout.close()
    process.wait(60)
    assert state_of(environment)["state"] == "stopped"
    assert till.running() == []


def test_words_that_nobody_reads_do_not_end_a_run(start: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = start("run", "--", "sh", "-c", f"echo begun; while ! [ -e {go} ]; do sleep 0.05; done; echo ended")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdout.readline() == "begun\n"
    go.touch()
    assert process.stdout.read() == "ended\n"
    assert process.wait(60) == 0


@pytest.mark.parametrize("closed", ["1>&- 2>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_streams_that_are_closed_from_the_start_hold_nothing_up(
    closed: str, place: Path, environment: dict[str, str], till: Till
) -> None:
    line = f"exec {sys.executable} -m lepton_sdk run --name long --provider fake -- sh -c 'echo a; exit 7' {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=place, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert till.running() == []


def test_output_that_could_not_be_written_is_told(place: Path, environment: dict[str, str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not here")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "lepton_sdk", "run", "--", "echo", "a"]
        done = subprocess.run(command, cwd=place, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert "output beyond byte 0 could not be written here" in done.stderr
    assert "lepton logs" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_machine_that_is_being_made_goes_back_when_its_call_answers(
    number: int, start: Start, environment: dict[str, str], till: Till
) -> None:
    till.hold("create")
    process = start("run", "--name", "long", "--provider", "fake", *LONG)
    till.until_asked("create")
    process.send_signal(number)
    assert process.stderr is not None
    _read_to(process.stderr, "waiting for fake's answer to the create call, 0:0")
    till.let("create")
    process.wait(60)
    run = state_of(environment)
    assert run["state"] == "stopped"
    # The call was not cut off, so that nobody had to look for what it made.
    assert (len(till.machines()), till.running()) == (1, [])
    assert "unknown" not in process.stderr.read()


def test_an_interrupt_before_anything_was_written_leaves_nothing(start: Start, environment: dict[str, str], till: Till) -> None:
    offers = till.folder / "hold-offers"
    till.hold("offers")
    process = start("run", "--name", "long", "--provider", "fake", *LONG)
    till.until_asked("offers")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    offers.unlink()
    command = [sys.executable, "-m", "lepton_sdk", "ps", "--all"]
    assert "no runs" in subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert till.machines() == []


def test_a_third_interrupt_leaves_the_rest_to_a_follower(start: Start, environment: dict[str, str], till: Till) -> None:
    process = start("run", "--name", "long", "--provider", "fake", *LONG)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "begun\n"
    till.hold("release")
    process.send_signal(signal.SIGINT)
    till.until_asked("release")
    process.send_signal(signal.SIGINT)
    _read_to(process.stderr, "at once")
    # Interrupts in a burst are one; this goes on until it is heard as one more.
    until(lambda: _ended_by_interrupt(process))
    assert "a follower process goes on" in process.stderr.read()
    assert len(till.running()) == 1
    till.let("release")
    until(lambda: not till.running())
    until(lambda: state_of(environment)["state"] == "stopped")


@pytest.mark.parametrize("accepts", [True, False])
def test_a_hangup_hands_the_run_on_where_that_was_wanted(
    accepts: bool, start: Start, environment: dict[str, str], till: Till
) -> None:
    more = ["--accept-exposure"] if accepts else []
    process = start("run", "--name", "long", "--provider", "fake", "--on-interrupt", "detach", *more, *LONG)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    process.wait(60)
    assert state_of(environment)["state"] == ("running" if accepts else "stopped")
    assert len(till.running()) == accepts


def test_a_detached_run_outlives_its_terminal(
    terminals: list[Terminal], place: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    job = ["--", "sh", "-c", f"while ! [ -e {go} ]; do sleep 0.05; done; exit 4"]
    terminals.append(Terminal(["run", "--detach", "--name", "long", *job], place, environment))
    terminals[0].until("goes on")
    terminals[0].vanish()
    terminals[0].process.wait(60)
    go.touch()
    until(lambda: state_of(environment)["exit_code"] == 4)


def test_an_error_of_the_client_leaves_an_open_run_to_a_follower(start: Start, environment: dict[str, str], till: Till) -> None:
    process = start("run", "--name", "long", "--provider", "fake", *LONG)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    (till.folder / "break-release").touch()
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    said = _read_to(process.stderr, "a follower process goes on")
    assert process.wait(60) not in (0, 130), said
    (till.folder / "break-release").unlink()
    until(lambda: not till.running())


Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_an_interrupt_can_hand_the_run_on(long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton) -> None:
    process = long_run("--on-interrupt", "detach")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "running"
    assert lepton("stop", "long").stdout.endswith("stopped\n")


@pytest.mark.parametrize(("answer", "words"), [("s", "stopped"), ("d", "goes on")])
def test_an_interrupt_asks_and_obeys(
    answer: str, words: str, terminals: list[Terminal], place: Path, environment: dict[str, str]
) -> None:
    terminals.append(Terminal(["run", "--name", "long", "--", "sh", "-c", "echo begun; exec sleep 300"], place, environment))
    terminal = terminals[0]
    terminal.until("begun")
    terminal.type("\x03")
    terminal.until("[d]etach")
    terminal.type(f"{answer}\n")
    terminal.until(words)
    terminal.process.wait(30)
    listed = subprocess.run([sys.executable, "-m", "lepton_sdk", "ps", "--all"], env=environment, capture_output=True, text=True)
    assert ("running" if answer == "d" else "stopped") in listed.stdout
