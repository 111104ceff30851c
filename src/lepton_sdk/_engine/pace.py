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

    def forget(self, what: str, token: str) -> None:
        """Let it be due again at once."""
        self._done.pop((what, token), None)
