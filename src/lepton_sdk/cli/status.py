"""What a person sees while a run waits: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

import click

from lepton_sdk.cli.render import styled

if TYPE_CHECKING:
    from lepton_sdk.domain.run import Event

__all__ = ["StatusLine"]

_WORDS = {
    "run.planned": "planned",
    "node.intended": "taking a machine",
    "node.owned": "machine is ours, waiting for it to boot",
    "node.armed": "the machine's watchdog lives",
    "node.reachable": "machine can be reached",
    "node.running": "job started",
    "node.restarted": "the command failed on a node and is started there again",
    "node.finished": "job ended",
    "node.lost": "machine lost",
    "node.unknown": "the provider's answer was lost; looking for the machine",
    "node.unresolved": "the create call stays unresolved; taking another machine",
    "node.duplicate": "the provider made one machine more; giving it back",
    "node.releasing": "giving the machine back",
    "node.released": "machine given back",
    "run.stop": "stop requested",
    "run.finished": "run ended",
}


class StatusLine:
    """Shows journal rows on standard error, and lets the job's own output pass through to ``stream``."""

    def __init__(self, stream: TextIO) -> None:
        self._out = stream.buffer
        self._live = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._text = self._passing = ""
        self._began = time.monotonic()
        self._shown = False
        self._fresh_line = True
        self._ticker: threading.Thread | None = None
        self._done = threading.Event()

    def event(self, event: Event) -> None:
        """Show what a journal row means."""
        if event.kind == "attempt.failed":
            data = event.data
            self._line(f"{data['provider']} {data['instance_type']}: {data['message']}; next: {data['next']}")
        elif text := _WORDS.get(event.kind):
            offer = event.data.get("offer")
            self._line(f"{text} at {offer['provider']} ({offer['instance_type']})" if offer else text)

    def progress(self, text: str) -> None:
        """Show for a while what takes long, on a terminal; with ``""`` the last row again."""
        if self._live:
            with self._lock:
                self._passing = text
                self._draw()

    def output(self, chunk: bytes) -> None:
        """Pass a piece of the job's output on at once."""
        with self._lock:
            self._clear()
            self._out.write(chunk)
            self._out.flush()
            self._fresh_line = chunk.endswith(b"\n")

    def close(self) -> None:
        """Take the live line away."""
        self._done.set()
        with self._lock:
            self._clear()

    def _line(self, text: str) -> None:
        with self._lock:
            self._text = text
            if not self._live:
                click.echo(f"lepton: {text}", err=True)
                return
            self._draw()
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        while not self._done.wait(1):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        # A line of the job that has not ended yet must not be written over.
        if not self._fresh_line or self._done.is_set():
            return
        seconds = round(time.monotonic() - self._began)
        text = styled(f"lepton: {self._passing or self._text} ({seconds // 60}:{seconds % 60:02})", dim=True)
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
        self._shown = True

    def _clear(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = False
