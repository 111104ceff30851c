"""Terminals of their own, and a cloud that answers when a test lets it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

from waiting import until

from lepton_sdk.testing import FakeProvider

# A job that goes on for as long as its test.
LONG = ["--", "sh", "-c", "echo begun; exec sleep 300"]


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
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
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

    def vanish(self) -> None:
        """Close the window: the kernel sends SIGHUP, and everything that is written fails from now on."""
        os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)


class Till(FakeProvider):
    """The books of the cloud of ``till/lepton_till.py``, which every process of a test rents from."""

    def hold(self, what: str) -> None:
        (self.folder / f"hold-{what}").touch()

    def let(self, what: str) -> None:
        (self.folder / f"hold-{what}").unlink()

    def until_asked(self, what: str) -> None:
        until((self.folder / f"asked-{what}").exists)


def state_of(environment: dict[str, str]) -> dict[str, Any]:
    """The one run that there is, as ``lepton ps`` shows it."""
    command = [sys.executable, "-m", "lepton_sdk", "ps", "--all", "--json"]
    (run,) = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    return dict(run)
