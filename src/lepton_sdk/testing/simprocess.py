"""One client process of a simulation."""

from __future__ import annotations

from datetime import datetime, timedelta

from lepton_sdk._clock import SteadyClock
from lepton_sdk.testing.simworld import World
from lepton_sdk.testing.virtual import VirtualClock

__all__ = ["Died", "SimProcess"]


class Died(BaseException):
    """The simulated process was killed here; nothing of it continues."""


_HOUR = 3600.0


class SimProcess(SteadyClock):
    """One client process: its clock stops with it, its wall clock can be set, and it can die at any step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self._asleep_until = 0.0
        self._clock = VirtualClock()
        self._off = 0.0
        super().__init__()

    def wall(self) -> datetime:
        """Its host's wall clock, or the wrong one that only this process sees."""
        return self._clock.now() + timedelta(seconds=self.world.wall_off + self._off)

    @staticmethod
    def _boot() -> str:
        return "simulated"

    def _beside_the_kernel(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; a frozen process wakes up late."""
        self.check()
        await self._clock.sleep(seconds)
        while self.monotonic() < self._asleep_until:
            await self._clock.sleep(self._asleep_until - self.monotonic())
        self.check()

    def check(self) -> None:
        """End here if the process is dead."""
        if self.dead:
            raise Died

    async def step(self, longest: float = 2.0) -> None:
        """One action of the process: it takes time, and the process may die or freeze during it."""
        self.mortal_moment()
        self._be_set()
        self._stand_still()
        await self.sleep(self.world.between(0.001, longest))
        self.mortal_moment()

    async def hear(self) -> None:
        """An answer has arrived: the process may freeze before it reads it, and then the answer is old."""
        if self._stand_still():
            await self.sleep(0)

    def _stand_still(self) -> bool:
        """Whether the process is frozen for a while."""
        struck = self.world.strikes("pause")
        if struck:
            self._asleep_until = self.monotonic() + self.world.between(10, 400)
        return struck

    def _be_set(self) -> None:
        """Let the wall clock jump by hours: for this process alone, or permanently for every process of its host."""
        hours = self.world.sets_a_clock()
        if hours is None:
            return
        if self.world.clocks.random() < 0.5:
            self.world.wall_off = hours * _HOUR
        else:
            self._off = hours * _HOUR

    def mortal_moment(self) -> None:
        """A point at which the process may be killed."""
        self.check()
        if self.world.strikes("die"):
            self.dead = True
            raise Died
