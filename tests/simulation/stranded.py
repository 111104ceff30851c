"""A machine that nobody can reach any more, nor give back, while its job runs there: a host of one's own behind a cut cable."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

from clients import Scene, client, end, submit
from schedule import DAY, live, played
from truth import check_cost, check_executions

from lepton_sdk._engine.followers.follow import follow_all
from lepton_sdk.domain.job import Job
from lepton_sdk.spi import WatchdogWay
from lepton_sdk.testing import World, executions

__all__ = ["strand"]

# Long enough for whoever waits for the wrong thing to be found out.
_LEASE, _JOB = 300, 7200


def strand(seed: int) -> list[str]:
    """The job allows one more attempt once the node has stopped the first one by itself; what broke."""
    return played(_strand, seed)


async def _strand(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    world, loop = World(seed), asyncio.get_running_loop()
    # Where power-off ends nothing, as on a server of one's own, there is no watchdog.
    world.watchdog = WatchdogWay.NONE
    scene = Scene(world, folder)
    retry = {"interruption": {"count": 1, "unreachable": _LEASE, "backoff": 1}}
    job = Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, retry=retry)
    run_id = await submit(scene, job)
    first = asyncio.create_task(live(scene))
    while not executions(world):  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.5)
    (one,) = executions(world)
    one.over = loop.time() + _JOB
    # It is looked after for far longer than its lease is.
    await asyncio.sleep(dice.uniform(0, 3 * _LEASE))
    world.stranded.add(one.machine.id)
    if dice.random() < 0.5:
        # Another follower has to do with what the rows say.
        await asyncio.sleep(dice.uniform(0, 2 * _LEASE))
        await end([first])
        first = asyncio.create_task(live(scene))
    await _until_it_has_ended(scene, run_id, one.over + 600)
    await end([first])
    broken = [*check_executions(world, job), *_went_on(scene, run_id)]
    world.stranded.clear()
    with client(scene) as (engine, _):
        await follow_all(engine, until_idle=True)
        run = engine.journal.run(run_id)
    broken += [f"{machine.id} is still billed" for machine in world.billed(loop.time() + DAY)]
    return broken + list(check_cost(world, run, whole=True))


async def _until_it_has_ended(scene: Scene, run_id: str, at_most: float) -> None:
    with client(scene) as (engine, _):
        while not engine.journal.run(run_id).state.ended and asyncio.get_running_loop().time() < at_most:  # noqa: ASYNC110
            await asyncio.sleep(30)


def _went_on(scene: Scene, run_id: str) -> Iterator[str]:
    """The second attempt ended well while the first machine could not be given back, and that one is still on our list."""
    with client(scene) as (engine, _):
        run, places = engine.journal.run(run_id), engine.journal.providers_with_open_nodes()
    if len(executions(scene.world)) != 2 or str(run.state) != "succeeded":
        yield f"the run did not go on: {run.state} after {len(executions(scene.world))} executions"
    if set(places) != {"sim"}:
        yield "the machine that nobody can reach is on no list"
