"""The double's own time: the host's, and what it was told to skip."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["VendorTime"]


class VendorTime:
    """Seconds that can be skipped, so that a bill of hours takes no hours."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._skipped

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped += seconds

    def stamp(self, seconds: float) -> str:
        """A moment in ISO 8601."""
        return datetime.fromtimestamp(seconds, UTC).isoformat()
