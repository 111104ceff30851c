"""How often one thing is done: what was asked a moment ago is not asked again, however often the engine comes by."""

from __future__ import annotations

from lepton_sdk._clock import Clock

__all__ = ["Pace"]


class Pace:
    """Remembers when each thing was last done in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
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
