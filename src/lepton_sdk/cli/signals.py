"""Signals as words in a queue: received at any time, and interrupting nothing by themselves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["SIGNALS", "Ears", "over"]

SIGNALS = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminate", signal.SIGHUP: "hangup"}


class Ears:
    """The queue of signals for a command that waits: ``interrupt``, ``terminate`` or ``hangup``."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._words: asyncio.Queue[str] = asyncio.Queue()
        self.hears_hangup = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    @contextmanager
    def open(self) -> Iterator[None]:
        """Queue SIGHUP and SIGTERM in the same way as Ctrl-C. An ignored signal (nohup) stays ignored."""
        numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in numbers:
            self._loop.add_signal_handler(number, self._words.put_nowait, SIGNALS[number])
        try:
            yield
        finally:
            for number in numbers:
                self._loop.remove_signal_handler(number)

    def tell(self, word: str) -> None:
        """Put a word into the queue, from another thread."""
        self._loop.call_soon_threadsafe(self._words.put_nowait, word)

    async def hear(self, *work: asyncio.Future[Any], seconds: float | None = None) -> str:
        """Return the next word; ``""`` if any of the work, or the time, has ended first."""
        word = asyncio.ensure_future(self._words.get())
        try:
            await asyncio.wait({word, *work}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return word.result() if word.done() and not any(one.done() for one in work) else ""
        finally:
            word.cancel()


async def over(work: asyncio.Future[Any]) -> None:
    """Cancel unfinished work, and wait for its end."""
    work.cancel()
    await asyncio.wait({work})
    if not work.cancelled():
        work.exception()
