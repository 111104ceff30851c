"""One answer for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from attrs import frozen

from lepton_sdk._clock import Clock
from lepton_sdk.errors import LeptonError

__all__ = ["Shared"]

_T = TypeVar("_T")

# Trouble is asked about again soon, however old an answer may be otherwise.
_TROUBLE_SECONDS = 5.0


@frozen
class _Answer(Generic[_T]):
    asked_at: float
    value: _T | None = None
    error: LeptonError | None = None


class Shared(Generic[_T]):
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
