"""How far something is that takes long, told to whoever waits a few times a second and not more."""

from __future__ import annotations

from collections.abc import Callable

from lepton_sdk._clock import Clock

__all__ = ["Progress"]

_PAUSE = 0.2
_MIB = 1 << 20


class Progress:
    """One thing that takes long. What is over at once is never told.

    Args:
        tell: takes each line, and ``""`` when it is over.
        what: what happens, in words.
    """

    def __init__(self, tell: Callable[[str], None], clock: Clock, what: str) -> None:
        self._tell, self._clock, self._what = tell, clock, what
        self._done = self._total = 0
        self._next = clock.monotonic() + _PAUSE
        self._told = False

    def begin(self, total: int) -> None:
        """So many bytes are to come, from the first one on."""
        self._done, self._total = 0, total

    def add(self, count: int) -> None:
        """So many more bytes are through."""
        self._done += count
        if self._clock.monotonic() >= self._next:
            self._next, self._told = self._clock.monotonic() + _PAUSE, True
            # What goes over the wire is a little more than what it holds.
            done = min(self._done, self._total)
            self._tell(f"{self._what}: {done / _MIB:.1f} of {self._total / _MIB:.1f} MiB")

    def __enter__(self) -> Progress:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Say that it is over."""
        if self._told:
            self._tell("")
