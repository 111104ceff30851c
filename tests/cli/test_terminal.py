"""What a person at a terminal sees and can do, over a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._ours = ours
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lepton_sdk", *words],
            cwd=folder,
            env=environment | {"TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # The terminal's Ctrl-C goes to the foreground group of the session that owns it.
            preexec_fn=lambda: __import__("fcntl").ioctl(theirs, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(theirs)

    def until(self, text: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not appear in:\n{self.seen}"
            if select.select([self._ours], [], [], 0.05)[0]:
                self.seen += self._read()

    def rest(self) -> None:
        while text := self._read():
            self.seen += text

    def _read(self) -> str:
        try:
            return os.read(self._ours, 65536).decode(errors="replace")
        except OSError:
            return ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminals(place: Path, environment: dict[str, str]) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()
    subprocess.run([sys.executable, "-m", "lepton_sdk", "stop", "long"], env=environment, capture_output=True)


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
