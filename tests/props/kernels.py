"""A host whose kernel, wall clock and boots are the test's."""

from __future__ import annotations

from datetime import datetime, timedelta

from writing import NOW

from lepton_sdk._clock import SteadyClock


class Kernel:
    """What a host's kernel knows: the time since boot, and a wall clock that anybody may set."""

    def __init__(self) -> None:
        self.boot, self.elapsed, self.off, self.time = "first", 100.0, timedelta(), NOW

    def passes(self, seconds: float) -> None:
        self.elapsed += seconds
        self.time += timedelta(seconds=seconds)

    def boots(self, name: str) -> None:
        self.boot, self.elapsed = name, 1.0


class ProcessClock(SteadyClock):
    """The clock of one process of a host; ``off`` is what this process alone is told wrongly."""

    def __init__(self, kernel: Kernel, off: timedelta = timedelta()) -> None:
        self.kernel, self.off = kernel, off
        super().__init__()

    def wall(self) -> datetime:
        return self.kernel.time + self.off + self.kernel.off

    def monotonic(self) -> float:
        return self.kernel.elapsed

    def _boot(self) -> str:  # type: ignore[override]
        return self.kernel.boot

    def _beside_the_kernel(self) -> float:
        return 0.0
