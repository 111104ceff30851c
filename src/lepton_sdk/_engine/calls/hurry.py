"""How much time is left for what stands before a machine's release: a stop shortens it, a second one ends it."""

from __future__ import annotations

import asyncio
from math import inf

from lepton_sdk._clock import Clock

__all__ = ["Hurry"]


class Hurry:
    """Since when a run shall end, as its follower has heard it.

    Args:
        stopped: seconds from a stop to the release of a machine that says nothing of use.
    """

    def __init__(self, clock: Clock, stopped: float) -> None:
        self._clock = clock
        self._stopped = stopped
        self._end = inf
        self._moved = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether a stop was heard."""
        return self._end < inf

    def stop(self, *, now: bool = False) -> None:
        """The run shall end; with ``now`` nothing is waited for any more."""
        end = self._clock.monotonic() + (0.0 if now else self._stopped)
        if end < self._end:
            self._end = end
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def left(self) -> float:
        """Seconds that are left; without a stop there is no end to them."""
        return self._end - self._clock.monotonic() if self.begun else inf

    async def changed(self) -> None:
        """Return when less time is left than before."""
        await self._moved.wait()
