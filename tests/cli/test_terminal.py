"""What a person at a terminal sees and can do, over a real pseudo-terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.terminals import Terminal


def test_a_live_line_shows_where_the_run_is(terminals: list[Terminal], place: Path, environment: dict[str, str]) -> None:
    terminals.append(Terminal(["run", "--name", "long", "--", "sleep", "2"], place, environment))
    terminals[0].until("job started (0:0")
    terminals[0].until("succeeded")
    # The line is written over in place, and taken away at the end.
    assert "\r\x1b[K" in terminals[0].seen


def test_no_color_takes_the_colours_away(terminals: list[Terminal], place: Path, environment: dict[str, str]) -> None:
    terminals.append(Terminal(["run", "--", "true"], place, environment | {"NO_COLOR": "1"}))
    terminals[0].until("succeeded")
    assert "\x1b[2m" not in terminals[0].seen
    assert "\x1b[1m" not in terminals[0].seen


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
