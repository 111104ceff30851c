"""Clients that drive one run at the same time: what holds must hold without the claim, which only spares them the work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from attrs import evolve
from clients import MortalJournal, Scene, client, end, nobody, submit
from schedule import check_journal, played, settle, some_faults, strangers_in
from timings import few_or_many
from truth import check_executions, check_world

from lepton_sdk._clock import Clock
from lepton_sdk._engine.followers.follow import follow_all, request_stop
from lepton_sdk.domain.job import Job
from lepton_sdk.testing import SIM_SPEC, Died, World

__all__ = ["twins"]

_FOR_EVER = timedelta(days=1)
_TOGETHER = 3600.0
# Where one of them stands still most often, while another one goes on.
_STAND_STILL = ("intended", "unknown", "owned", "running", "running", "releasing")


class _Unclaimed(MortalJournal):
    """A journal whose claims hold nobody up: each client gets what it asks for, and nobody tells it when another one does."""

    def __init__(self, place: Path, clock: Clock, *, marks: Path) -> None:
        super().__init__(place, clock, marks=marks)
        self._mine: dict[str, int] = {}
        self._holder = ""

    def claim(
        self, run_id: str, holder: str, seconds: float, alive: Callable[[str], bool], here: Callable[[str], bool] = nobody
    ) -> int | None:
        epoch = super().claim(run_id, holder, seconds, lambda _: False)
        assert epoch is not None
        self._mine[run_id], self._holder = epoch, holder
        return epoch

    def is_held(self, run_id: str, seconds: float, alive: Callable[[str], bool], here: Callable[[str], bool]) -> bool:
        return False

    def renew_all(self, holder: str, seconds: float) -> dict[str, int]:
        self.process.check()
        return dict(self._mine)

    def let_go(self, run_id: str, holder: str, epoch: int) -> None:
        self._mine.pop(run_id, None)
        super().let_go(run_id, holder, epoch)

    def holder(self, run_id: str) -> tuple[str, datetime] | None:
        return (self._holder, self._clock.now() + _FOR_EVER) if run_id in self._mine else None


def twins(seed: int) -> list[str]:
    """Two or three clients drive one run at once, each of them sure to be the only one; what broke."""
    return played(_twins, seed)


async def _twins(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    timing = few_or_many(dice)
    # Who never stands still is in step with the others, and who dies young meets none of them.
    world = World(seed, evolve(some_faults(dice), pause=dice.uniform(0, 0.1), die=dice.choice([0, 0, 0.01])))
    scene = Scene(world, folder, timing=timing, left=20)
    late = dice.random() < 0.5
    # An aimed fault goes back to the usual ones behind it, and the late ones meet their own.
    scene.aim = None if late else (dice.choice(_STAND_STILL), "pause")
    retry = {"interruption": dice.choice([0, 3]), "no_capacity": {"duration": "1h", "backoff": 30}}
    job = Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, nodes=dice.choice([1, 1, 2]), retry=retry)
    run_id = await submit(scene, job)
    stop_at = dice.choice([None, dice.uniform(30, 1500)])
    if late:
        await _left_behind(scene, run_id, dice)
    begins = [dice.choice([0, dice.uniform(0, 20 if late else 600)]) for _ in range(dice.choice([2, 3]))]
    lives = [asyncio.create_task(_life(scene, after)) for after in begins]
    stop = asyncio.create_task(_stop(scene, run_id, stop_at))
    await asyncio.wait(lives, timeout=_TOGETHER)
    await end([*lives, stop])
    world.calm()
    strangers = strangers_in(scene)
    shown = await settle(scene)
    broken = [*check_world(world, strangers, shown, forgetful=False), *check_journal(scene, run_id, None)]
    return [*broken, *check_executions(world, job), *scene.noted]


async def _left_behind(scene: Scene, run_id: str, dice: random.Random) -> None:
    """Somebody asked for machines and is gone. The others come when it is time to give up on them, and not all do."""
    world, timings = scene.world, SIM_SPEC.timings
    usual, unanswered = world.faults, dice.random() < 0.5
    world.faults = evolve(usual, lose_reply=float(unanswered), late=0.0, refuse=0.0)
    first = asyncio.create_task(_life(scene, 0))
    await asyncio.wait({first}, timeout=dice.uniform(3, 30))
    await end([first])
    if unanswered:
        await asyncio.sleep(timings.create_horizon + timings.listing_lag)
        await _stop(scene, run_id, 0)
        world.faults = evolve(usual, truncate=0.5, forget_release=0.98, pause=0.4)
        return
    for machine in (machine for machine in world.machines if machine.begun is None):
        machine.ready = machine.armed = machine.created + timings.boot + dice.uniform(0, timings.poll)
    await asyncio.sleep(timings.boot - dice.uniform(0, 40))
    world.faults = evolve(usual, pause=0.4)


async def _life(scene: Scene, begins: float) -> bool:
    """Client after client, for one that died comes back."""
    await asyncio.sleep(begins)
    while True:
        with client(scene, kind=_Unclaimed) as (engine, _), suppress(Died):
            await follow_all(engine, until_idle=True)
            return True
        await asyncio.sleep(30)


async def _stop(scene: Scene, run_id: str, when: float | None) -> bool:
    if when is not None:
        await asyncio.sleep(when)
        with client(scene) as (engine, _), suppress(Died):
            request_stop(engine, run_id)
    return False
