"""Report the progress of long work to a waiting user, at most a few times a second."""

from __future__ import annotations

from collections.abc import Callable

from lepton_sdk._clock import Clock

__all__ = ["Progress"]

_PAUSE = 0.2
_MIB = 1 << 20


class Progress:
    """One piece of long work. Work that is over at once is never reported.

    Args:
        tell: receives each line, and ``""`` when it is over.
        what: the text that says what happens.
    """

    def __init__(self, tell: Callable[[str], None], clock: Clock, what: str) -> None:
        self._tell, self._clock, self._what = tell, clock, what
        self._done = self._total = 0
        self._next = clock.monotonic() + _PAUSE
        self._told = False

    def begin(self, total: int) -> None:
        """Begin: ``total`` bytes will come."""
        self._done, self._total = 0, total

    def add(self, count: int) -> None:
        """Count further bytes that are through."""
        self._done += count
        if self._clock.monotonic() >= self._next:
            self._next, self._told = self._clock.monotonic() + _PAUSE, True
            # The bytes on the wire are a few more than the content.
            done = min(self._done, self._total)
            self._tell(f"{self._what}: {done / _MIB:.1f} of {self._total / _MIB:.1f} MiB")

    def __enter__(self) -> Progress:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Say that it is over."""
        if self._told:
            self._tell("")
