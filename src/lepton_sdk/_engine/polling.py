"""Limit how often something is asked: `Throttle` for how often, `Cached` to ask once for all who want the same answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from typing import Generic, TypeVar

from attrs import frozen

from lepton_sdk._clock import Clock
from lepton_sdk.errors import LeptonError

__all__ = ["Cached", "Throttle"]

_T = TypeVar("_T")

# An error is kept no longer than this, however old an answer may be otherwise.
_TROUBLE_SECONDS = 5.0


@frozen
class _Answer(Generic[_T]):
    asked_at: float
    value: _T | None = None
    error: LeptonError | None = None


class Throttle:
    """Remembers when each thing was last done in this process.

    Attributes:
        there: when the machine of each token was last seen while it was being given back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.there: dict[str, datetime] = {}
        self._done: dict[tuple[str, str], float] = {}

    def due(self, what: str, token: str, seconds: float | None = None) -> bool:
        """Return True if it is due now, and note that it is done now.

        Args:
            seconds: the time until it is due again; ``None`` means never again.
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
        """Seconds since it was last done in this process; ``None`` if it never was."""
        last = self._done.get((what, token))
        return None if last is None else self._clock.monotonic() - last

    def forget(self, what: str, token: str) -> None:
        """Make it due again at once."""
        self._done.pop((what, token), None)


class Cached(Generic[_T]):
    """The last answer to each question.

    If ten thousand runs want to know what a provider lists, one listing is enough. And a provider that is down must not be
    asked ten thousand times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[Hashable, _Answer[_T]] = {}
        self._turns: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, question: Hashable, seconds: float, ask: Callable[[], Awaitable[_T]]) -> _T:
        """The last answer if it is at most ``seconds`` old, else a new one.

        Raises:
            LeptonError: asking failed, for this caller or for another one.
        """
        came = self._clock.monotonic()
        async with self._turns[question]:
            known = self._answers.get(question)
            if known is None or known.asked_at < came - (min(seconds, _TROUBLE_SECONDS) if known.error else seconds):
                known = self._answers[question] = await self._asked(ask)
        if known.error is not None:
            raise known.error
        assert known.value is not None
        return known.value

    def last(self, question: Hashable) -> _T | None:
        """The last answer, however old; ``None`` if there is none, or if asking failed."""
        known = self._answers.get(question)
        return known.value if known is not None else None

    async def _asked(self, ask: Callable[[], Awaitable[_T]]) -> _Answer[_T]:
        now = self._clock.monotonic()
        try:
            return _Answer(now, value=await ask())
        except LeptonError as error:
            return _Answer(now, error=error)
