"""How often something is asked: not again after a moment, and once for all who want to know the same."""

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

# Trouble is asked about again soon, however old an answer may be otherwise.
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


class Cached(Generic[_T]):
    """The last answer to each question.

    Ten thousand runs that want to know what a provider lists need one listing, and a provider that is down must not be
    asked ten thousand times to say so.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[Hashable, _Answer[_T]] = {}
        self._turns: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, question: Hashable, seconds: float, ask: Callable[[], Awaitable[_T]]) -> _T:
        """An answer that was asked for no more than ``seconds`` ago, or else now.

        Raises:
            LeptonError: asking failed, be it for somebody else.
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
        """The last answer, however old; ``None`` when there is none, or asking failed."""
        known = self._answers.get(question)
        return known.value if known is not None else None

    async def _asked(self, ask: Callable[[], Awaitable[_T]]) -> _Answer[_T]:
        now = self._clock.monotonic()
        try:
            return _Answer(now, value=await ask())
        except LeptonError as error:
            return _Answer(now, error=error)
