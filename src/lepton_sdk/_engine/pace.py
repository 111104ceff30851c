"""How often one thing is done: what was asked a moment ago is not asked again, however often the engine comes by."""

from __future__ import annotations

from datetime import datetime

from lepton_sdk._clock import Clock

__all__ = ["Pace"]


class Pace:
    """Remembers when each thing was last done in this process.

    Attributes:
        there: when the machine of each token was last seen while it was being given back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.there: dict[str, datetime] = {}
        self._done: dict[tuple[str, str], float] = {}

    def due(self, what: str, token: str, seconds: float | None = None) -> bool:
        """Whether to do it now, which is then noted.

        Args:
            seconds: how long to leave it after it was done; ``None`` for once and never again.
        """
        now, last = self._clock.monotonic(), self._done.get((what, token))
        if last is not None and (seconds is None or now - last < seconds):
            return False
        self._done[what, token] = now
        return True

    def mark(self, what: str, token: str) -> None:
        """Note that it was done now."""
        self._done[what, token] = self._clock.monotonic()

    def elapsed(self, what: str, token: str) -> float | None:
        """Seconds since it was last done in this process; ``None`` when it never was."""
        last = self._done.get((what, token))
        return None if last is None else self._clock.monotonic() - last

    def forget(self, what: str, token: str) -> None:
        """Let it be due again at once."""
        self._done.pop((what, token), None)
