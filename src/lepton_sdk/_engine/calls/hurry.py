"""How much time is left for what stands before a machine's release: a stop shortens it, a second one ends it."""

from __future__ import annotations

import asyncio
from math import inf

from attrs import evolve, field, frozen

from lepton_sdk._clock import Clock
from lepton_sdk.domain.keeping import Keeping

__all__ = ["Hurry", "Patience"]


@frozen
class Patience:
    """How long the engine waits for a node whose machine shall go, and for a provider; seconds.

    Attributes:
        answer: one question to a node, while it may still say something of use.
        question: one question to a node whose job goes on.
        ending: ending what runs on a machine that goes back to its vendor, who ends it anyhow.
        ending_own: the same on a host of one's own, on which it would run on.
        silent: fetching log and outputs from a node whose last answer was of no use.
        stopped: all of the above together, once the run was stopped.
        provider: one call of a provider's plugin.
        stall: an event loop that has stood still for so long is blocked; ``None``: nobody looks.
        create: the create call, which may have to wait for its turn.
        keeping: log and outputs of a job that is over.
    """

    answer: float = 5.0
    question: float = 60.0
    ending: float = 20.0
    ending_own: float = 120.0
    silent: float = 3.0
    stopped: float = 10.0
    provider: float = 90.0
    stall: float | None = 30.0
    create: float = 900.0
    keeping: Keeping = field(factory=Keeping)

    def with_keeping(self, keeping: Keeping) -> Patience:
        """The same, with what the user set."""
        return evolve(self, keeping=keeping, stopped=float(keeping.after_stop))


class Hurry:
    """Since when a run shall end, as its follower has heard it.

    Args:
        stopped: seconds from a stop to the release of a machine that says nothing of use.
    """

    def __init__(self, clock: Clock, stopped: float) -> None:
        self._clock = clock
        self._stopped = stopped
        self._end = inf
        self._moved = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether a stop was heard."""
        return self._end < inf

    def stop(self, *, now: bool = False) -> None:
        """The run shall end; with ``now`` nothing is waited for any more."""
        end = self._clock.monotonic() + (0.0 if now else self._stopped)
        if end < self._end:
            self._end = end
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def left(self) -> float:
        """Seconds that are left; without a stop there is no end to them."""
        return self._end - self._clock.monotonic() if self.begun else inf

    async def changed(self) -> None:
        """Return when less time is left than before."""
        await self._moved.wait()
