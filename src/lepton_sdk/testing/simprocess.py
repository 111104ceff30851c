"""One client process of a simulation."""

from __future__ import annotations

from datetime import datetime

from lepton_sdk.testing.simworld import World
from lepton_sdk.testing.virtual import VirtualClock

__all__ = ["Died", "SimProcess"]


class Died(BaseException):
    """The simulated process was killed here; nothing of it runs on."""


class SimProcess:
    """One client process: a clock that stops with it, and a life that can end at any step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self._asleep_until = 0.0
        self._clock = VirtualClock()

    def now(self) -> datetime:
        """The time of day."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; a process that stands still wakes up late."""
        self.check()
        await self._clock.sleep(seconds)
        while self.monotonic() < self._asleep_until:
            await self._clock.sleep(self._asleep_until - self.monotonic())
        self.check()

    def check(self) -> None:
        """End here when the process is dead."""
        if self.dead:
            raise Died

    async def step(self, longest: float = 2.0) -> None:
        """One action of the process: it takes time, and the process may die or stand still in it."""
        self.mortal_moment()
        self._stand_still()
        await self.sleep(self.world.between(0.001, longest))
        self.mortal_moment()

    async def hear(self) -> None:
        """An answer has come: the process may stand still before it reads it, and then it is an old one."""
        if self._stand_still():
            await self.sleep(0)

    def _stand_still(self) -> bool:
        """Whether the process does not go on for a while."""
        struck = self.world.strikes("pause")
        if struck:
            self._asleep_until = self.monotonic() + self.world.between(10, 400)
        return struck

    def mortal_moment(self) -> None:
        """A moment at which the process may be killed."""
        self.check()
        if self.world.strikes("die"):
            self.dead = True
            raise Died
