"""The time that is left for the work before a machine's release: a stop shortens it, a second stop ends it."""

from __future__ import annotations

import asyncio
from math import inf

from lepton_sdk._clock import Clock

__all__ = ["Hurry"]


class Hurry:
    """The time limit that a stop request sets, from the moment when the follower has read the request.

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
        """Return True if a stop request came."""
        return self._end < inf

    def stop(self, *, now: bool = False) -> None:
        """Begin the time limit; with ``now`` wait for nothing any more."""
        end = self._clock.monotonic() + (0.0 if now else self._stopped)
        if end < self._end:
            self._end = end
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def left(self) -> float:
        """Seconds that are left; infinite without a stop."""
        return self._end - self._clock.monotonic() if self.begun else inf

    async def changed(self) -> None:
        """Wait until a new stop has shortened the time."""
        await self._moved.wait()
