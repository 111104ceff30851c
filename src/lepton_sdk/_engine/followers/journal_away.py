"""Wait for a journal that does not answer for a while (a server that restarts, a disk that is full).

Meanwhile nothing is created and nothing is given back: nothing may happen without its entry. The nodes' own limits and
watchdogs still act. Begin with `patient`, which repeats a question until the journal answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lepton_sdk._engine.engine import Engine
from lepton_sdk._journal import AWAY
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.errors import JournalError

__all__ = ["AWAY", "Absence", "patient"]

_T = TypeVar("_T")
_FIRST, _LONGEST, _GROWTH = 0.5, 10.0, 1.6


class Absence:
    """One time of waiting for the journal, with growing pauses. The user is told when it begins and when it is over."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._since: float | None = None
        self._pause = _FIRST

    async def wait(self, error: JournalError) -> None:
        """Pause, after the journal has failed once more."""
        if self._since is None:
            self._since = self._engine.clock.monotonic()
            self._engine.say_away(error)
        await self._engine.clock.sleep(self._pause)
        self._pause = min(_LONGEST, self._pause * _GROWTH)

    def over(self) -> None:
        """The journal has answered."""
        if self._since is not None:
            seconds = round(self._engine.clock.monotonic() - self._since)
            self._engine.say(f"the journal answers again, after {show_duration(max(1, seconds))}")
        self._since, self._pause = None, _FIRST


async def patient(engine: Engine, ask: Callable[[], _T]) -> _T:
    """Ask the journal until it answers; its answer.

    Raises:
        JournalError: waiting would not help.
    """
    absence = Absence(engine)
    while True:
        try:
            answer = ask()
        except AWAY as error:
            await absence.wait(error)
        else:
            absence.over()
            return answer
