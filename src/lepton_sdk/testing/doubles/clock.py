"""The simulated vendor's clock, and its rate limit for one caller."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from lepton_sdk._clock import SystemClock

__all__ = ["Pace", "VendorClock"]


class VendorClock:
    """Seconds since 1970 that a test can skip, so that a bill of hours takes no hours.

    Args:
        start: the first time; the clock then moves only by `skip`, so that every run of a test sees the same times.
            ``None`` to follow this host's clock.

    >>> clock = VendorClock(1_000_000.0)
    >>> clock.skip(90)
    >>> clock.now(), clock.stamp(0.0)
    (1000090.0, '1970-01-01T00:00:00+00:00')
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._skipped = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        begun = SystemClock().now().timestamp() if self._start is None else self._start
        return begun + self._skipped

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped += seconds

    def translate(self, moment: datetime) -> float:
        """A time of this host's clock in the vendor's time, with all skips until now."""
        return moment.timestamp() + self._skipped if self._start is None else self.now()

    @staticmethod
    def stamp(seconds: float) -> str:
        """A moment in ISO 8601, UTC."""
        return datetime.fromtimestamp(seconds, UTC).isoformat()


class Pace:
    """A rate limit for one caller: seconds between calls, and how many calls may come early.

    >>> pace = Pace()
    >>> [pace.admit("launch", 10, now) for now in (0.0, 1.0, 10.0)]
    [True, False, True]
    """

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def admit(self, bucket: str, interval: float, now: float, *, early: float = 0.5) -> bool:
        """Whether a call may pass; a refused call does not count.

        Args:
            bucket: the calls that are counted together.
            interval: seconds between two calls, on average.
            now: seconds, by any monotonic clock.
            early: how many intervals a call may come before its time. After a delayed call the next one seems early, so this
                should not be zero.
        """
        due = self._due.get(bucket, -math.inf)
        if now < due - interval * early:
            return False
        self._due[bucket] = max(now, due) + interval
        return True
