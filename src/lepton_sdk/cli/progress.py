"""The progress of a run: one live line on a terminal, plain lines elsewhere.

One thread does all the writing, directly to the file descriptors. A stopped terminal or a slow reader then delays only its own
output; and a reader that is gone is a result of the thread, never an error in the run.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from lepton_sdk.cli.render import styled

if TYPE_CHECKING:
    from lepton_sdk.domain.events import Event

__all__ = ["StatusLine"]

_WORDS = {
    "run.planned": "planned",
    "node.intended": "taking a machine",
    "node.owned": "machine is ours, waiting for it to boot",
    "node.repeated": "asking for the machine again, by the same call under the same key",
    "node.queued": "accepted, and queued by the provider",
    "node.admitted": "it leaves the queue",
    "node.armed": "the machine's watchdog lives",
    "node.reachable": "machine can be reached",
    "node.running": "job started",
    "node.restarted": "the command failed on a node and is started there again",
    "node.finished": "job ended",
    "node.lost": "machine lost",
    "node.unknown": "the provider's answer was lost; looking for the machine",
    "node.unresolved": "the create call stays unresolved; taking another machine",
    "node.duplicate": "the provider made one machine more; giving it back",
    "node.unkept": "not all of its log and outputs could be fetched",
    "node.hung": "a plugin blocked its client; it is not asked about this node any more",
    "node.given-up": "the machine was given up by hand; it may be billed on",
    "node.releasing": "giving the machine back",
    "node.released": "machine given back",
    "run.stop": "stop requested",
    "run.finished": "run ended",
}
_OUT, _ERR = 1, 2
_CLOCK = "{clock}"
# Without a live line, the current wait is repeated at these intervals.
_AGAIN_SECONDS = 15.0
# A stopped terminal must not keep this process from ending.
_CLOSE_SECONDS = 2.0


class StatusLine:
    """Shows journal entries on standard error, and passes the job's own output through.

    Args:
        on_lost: called, from another thread, when the output cannot be written any more.
        output_to_stderr: keep standard output for something else.

    Attributes:
        lost: why the output cannot be written any more; ``None`` while it can.
        passed: bytes of output that were written.
    """

    def __init__(self, on_lost: Callable[[OSError], object], *, output_to_stderr: bool = False) -> None:
        self._on_lost = on_lost
        self._out = _ERR if output_to_stderr else _OUT
        self._live = os.isatty(_ERR)
        self._deaf = False
        self.lost: OSError | None = None
        self.passed = 0
        self._text = self._passing = ""
        self._began = self._waits_since = self._said_at = time.monotonic()
        self._shown = False
        self._fresh_line = True
        self._is_asking = False
        self._steps: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        for stream in (sys.stdout, sys.stderr):
            # Flush earlier output first, to keep the order.
            stream.flush()
        self._thread = threading.Thread(target=self._work, name="lepton-status", daemon=True)
        self._thread.start()

    # --- called by others: none of this waits, except for the output --------------------------------------------------

    def event(self, event: Event) -> None:
        """Show what a journal entry means."""
        if event.kind == "attempt.failed":
            data = event.data
            line = f"{data['provider']} {data['instance_type']}: {data['message']}; next: {data['next']}"
        elif text := _WORDS.get(event.kind):
            offer = event.data.get("offer")
            line = f"{text} at {offer['provider']} ({offer['instance_type']})" if offer else text
            if event.kind == "node.queued":
                line = f"{text}: {event.data.get('detail', '')}"
        else:
            return
        self._steps.put(lambda: self._line(line))

    def waiting(self, text: str) -> None:
        """Show what the run waits for from now on; ``{clock}`` stands for the time since then."""
        self._steps.put(lambda: self._wait(text))

    def progress(self, text: str) -> None:
        """Show a line about slow work, on a terminal; ``""`` shows the last entry again."""
        self._steps.put(lambda: self._pass(text))

    def say(self, text: str, *, end: str = "\n") -> None:
        """Write text as it is, on standard error."""
        self._steps.put(lambda: self._say(text + end))

    def asking(self, text: str) -> None:
        """Write a question; until `answered`, no live line overwrites it."""
        self._steps.put(lambda: self._ask(text))

    def answered(self) -> None:
        """The question is over."""
        self._steps.put(lambda: setattr(self, "_is_asking", False))

    async def output(self, chunk: bytes) -> None:
        """Pass on a piece of the job's output; return when it was written, or cannot be."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()

        def tell() -> None:
            if not written.done():
                written.set_result(None)

        def step() -> None:
            self._pass_on(chunk)
            # The loop has ended: nobody waits for the result.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell)

        self._steps.put(step)
        await written

    def close(self) -> None:
        """Remove the live line."""
        self._steps.put(self._clear)
        self._steps.put(None)
        self._thread.join(_CLOSE_SECONDS)

    # --- in the thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            try:
                step = self._steps.get(timeout=1)
            except queue.Empty:
                step = self._tick
            if step is None:
                return
            step()

    def _tick(self) -> None:
        if self._live:
            self._draw()
        elif _CLOCK in self._text and time.monotonic() - self._said_at >= _AGAIN_SECONDS:
            self._line(self._text)

    def _line(self, text: str) -> None:
        self._text, self._said_at = text, time.monotonic()
        if self._live:
            self._draw()
        else:
            self._write_error(f"lepton: {self._clocked(text)}\n")

    def _wait(self, text: str) -> None:
        self._waits_since = time.monotonic()
        self._line(text)

    def _pass(self, text: str) -> None:
        self._passing = text
        if self._live:
            self._draw()

    def _say(self, text: str) -> None:
        self._clear()
        self._write_error(text if self._fresh_line else f"\n{text}")
        self._fresh_line = True

    def _ask(self, text: str) -> None:
        self._say(text)
        self._is_asking = True

    def _pass_on(self, chunk: bytes) -> None:
        if self.lost is not None:
            return
        self._clear()
        try:
            _write(self._out, chunk)
        except OSError as error:
            self.lost = error
            self._on_lost(error)
            return
        self.passed += len(chunk)
        self._fresh_line = chunk.endswith(b"\n")

    def _clocked(self, text: str) -> str:
        return text.replace(_CLOCK, _shown(self._waits_since))

    def _draw(self) -> None:
        # Overwrite neither a question nor an unfinished line of the job.
        text = self._passing or self._text
        if not text or not self._fresh_line or self._is_asking:
            return
        clocked = self._clocked(text) if _CLOCK in text else f"{text} ({_shown(self._began)})"
        self._write_error(f"\r\x1b[K{styled(f'lepton: {clocked}', dim=True)}")
        self._shown = True

    def _clear(self) -> None:
        if self._shown:
            self._write_error("\r\x1b[K")
            self._shown = False

    def _write_error(self, text: str) -> None:
        """Write text for the user; ignore a reader that is gone."""
        if self._deaf:
            return
        try:
            _write(_ERR, text.encode(errors="replace"))
        except OSError:
            self._deaf = True


def _shown(since: float) -> str:
    seconds = round(time.monotonic() - since)
    return f"{seconds // 60}:{seconds % 60:02}"


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Another program has made this terminal or pipe non-blocking.
            select.select([], [descriptor], [])
