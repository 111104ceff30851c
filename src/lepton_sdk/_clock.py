"""The one seam through which the project reads time and sleeps, so that a simulation can own both."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines, and sleep."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards and count while the host sleeps where the platform can."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``; 0 gives way to others once."""
        ...


class SystemClock:
    """The clock of this host."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the host booted, those asleep included where the platform counts them."""
        # CLOCK_BOOTTIME goes on while a laptop lid is closed; CLOCK_MONOTONIC does not.
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return time.clock_gettime(boottime) if boottime is not None else time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        import asyncio

        await asyncio.sleep(seconds)
