"""The one seam through which the project reads time and sleeps, so that a simulation can own both."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from attrs import frozen

__all__ = ["Anchor", "Clock", "SteadyClock", "SystemClock"]

# A reading of CLOCK_BOOTTIME that differs from /proc/uptime by more than this does not come from the kernel.
_UPTIME_SECONDS = 60.0


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines, and sleep."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards and count while the host sleeps where the platform can."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``; 0 yields to other tasks once."""
        ...


class SystemClock:
    """The clock of this host."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the host booted, including time asleep where the platform counts it."""
        # CLOCK_BOOTTIME continues while a laptop sleeps; CLOCK_MONOTONIC does not.
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return time.clock_gettime(boottime) if boottime is not None else time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        import asyncio

        await asyncio.sleep(seconds)


@frozen
class Anchor:
    """The wall clock at one moment of a boot. Together with the time since boot it gives every later moment.

    Attributes:
        wall: what the wall clock said.
        elapsed: seconds since boot at that moment.
        boot: which boot; ``""`` where the platform has no name for it.
    """

    wall: datetime
    elapsed: float
    boot: str

    def to_text(self) -> str:
        """The anchor as a journal keeps it."""
        return json.dumps({"wall": self.wall.isoformat(), "elapsed": self.elapsed, "boot": self.boot})

    @classmethod
    def from_text(cls, text: str) -> Anchor | None:
        """The reverse of `to_text`; ``None`` if the text is not an anchor."""
        try:
            data = json.loads(text)
            return cls(datetime.fromisoformat(data["wall"]), float(data["elapsed"]), str(data["boot"]))
        except (KeyError, TypeError, ValueError):
            return None


class SteadyClock(SystemClock):
    """A time of day that nobody can set: the wall clock is read once, and from there only the time since boot counts.

    A wall clock may be wrong for a moment. The claims, time limits and costs of a run must not follow it there.
    """

    def __init__(self) -> None:
        self.boot = self._boot()
        self._skew = self._beside_the_kernel()
        self.anchor = self.fresh()

    def wall(self) -> datetime:
        """The host's wall clock: for signatures that another host checks against its own clock."""
        return super().now()

    def elapsed(self) -> float:
        """Seconds since the host booted."""
        return self.monotonic() - self._skew

    def fresh(self) -> Anchor:
        """An anchor that believes the wall clock as it is now."""
        return Anchor(self.wall(), self.elapsed(), self.boot)

    def hold(self, anchor: Anchor) -> None:
        """Use an anchor that the other processes of this boot use as well."""
        self.anchor = anchor

    def now(self) -> datetime:
        """The time of day, aware, in UTC: from the anchor on, whatever the wall clock does."""
        if not self.boot:
            # The time since boot may stop here while the host sleeps.
            return self.wall()
        return self.anchor.wall + timedelta(seconds=self.elapsed() - self.anchor.elapsed)

    def moved(self) -> float:
        """By how many seconds the wall clock is ahead of this one."""
        return (self.wall() - self.now()).total_seconds()

    @staticmethod
    def _boot() -> str:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip() if hasattr(time, "CLOCK_BOOTTIME") else ""
        except OSError:
            return ""

    def _beside_the_kernel(self) -> float:
        """How far the reported time since boot is from the kernel's: a tool that fakes clocks may be in between."""
        try:
            uptime = float(Path("/proc/uptime").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0.0
        skew = self.monotonic() - uptime
        return skew if abs(skew) > _UPTIME_SECONDS else 0.0
