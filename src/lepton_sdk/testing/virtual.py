"""Virtual time: an event loop whose hours pass in microseconds, in the same way for the same seed."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

__all__ = ["VirtualClock", "run_virtual"]

_T = TypeVar("_T")
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class _Leaping(selectors.DefaultSelector):
    """A selector that never waits: it adds the waiting time to the clock instead."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("the simulation stands still: nothing is left that could ever happen")
            self.passed += max(0.0, timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.passed


def run_virtual(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end in virtual time. Nothing in it may wait for the real world.

    >>> import time
    >>> began = time.monotonic()
    >>> run_virtual(asyncio.sleep(3600))
    >>> time.monotonic() - began < 60
    True
    """
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)


class VirtualClock:
    """The clock of a virtual loop; it begins at the start of the year 2026."""

    def now(self) -> datetime:
        """The time of day in the simulation."""
        return _BEGINNING + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the simulation pass."""
        await asyncio.sleep(seconds)
