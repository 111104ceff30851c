"""Schedules of one kind each: nothing goes wrong, nobody comes back, nobody answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from clients import Scene, client, submit
from schedule import DAY, check_journal, generations, live, played, settle
from timings import AS_FOR_USERS, few_or_many

from lepton_sdk._engine.followers.follow import follow_all
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.spi import WatchdogWay
from lepton_sdk.testing import SIM_SPEC, Faults, World, bill, executions

# Two machines fit under the cap.
_CAP, _PRICE = 48, 24

__all__ = ["calm", "crowd", "leave", "replaced", "silent"]


def leave(seed: int) -> list[str]:
    """One client begins a run and is not seen again; what of its machines is billed when days have passed.

    Somebody comes then, and what the journal says of the cost is held against the bill as well.
    """
    return played(_abandon, seed)


def silent(seed: int) -> tuple[list[str], float]:
    """A provider that answers nothing for a day while a machine of ours is there; what broke, and when the run ended."""
    return played(_silence, seed)


def calm(seed: int) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Nothing goes wrong; the run's cost, its lower bound, the cloud's bill and the price of one billing increment."""
    return played(_calm, seed)


async def _calm(seed: int, folder: Path) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    world = World(seed)
    scene = Scene(world, folder)
    run_id = await submit(scene, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}))
    with client(scene) as (engine, _):
        await follow_all(engine, until_idle=True)
        run, now = engine.journal.run(run_id), engine.clock.now()
    (machine,) = world.machines
    cost, least, price = run.cost(now), run.cost_least(now), machine.offer.price
    assert cost is not None
    assert least is not None
    assert price is not None
    increment = price.amount * int(SIM_SPEC.timings.billing_increment) / 3600
    return cost.amount, least.amount, bill(machine, asyncio.get_running_loop().time()).amount, increment


async def _silence(seed: int, folder: Path) -> tuple[list[str], float]:
    world, loop = World(seed), asyncio.get_running_loop()
    scene = Scene(world, folder)
    # A watchdog would have ended the machine long before.
    world.watchdog = WatchdogWay.NONE
    run_id = await submit(scene, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}))
    with client(scene) as (engine, _):
        work = asyncio.create_task(follow_all(engine, until_idle=True))
        while not any(node.running_at for node in engine.journal.run(run_id).nodes):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1)
        world.faults = Faults(unavailable=1.0)
        await asyncio.sleep(DAY)
        open_rows, billed = len(engine.journal.providers_with_open_nodes()), len(world.billed(loop.time()))
        world.calm()
        await work
        run = engine.journal.run(run_id)
    left = [f"{machine.id} is still billed" for machine in world.billed(loop.time())]
    if (open_rows, billed) != (1, 1):
        left.append(f"{open_rows} open rows for {billed} machines while nobody answered")
    return left + ([] if run.state.ended else ["the run is in limbo"]), loop.time()


async def _abandon(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    world = World(seed, Faults(die=dice.uniform(0, 0.05), cut=dice.choice([0, 0.1])))
    scene = Scene(world, folder)
    run_id = await submit(scene, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}))
    life = asyncio.create_task(live(scene))
    await asyncio.wait({life}, timeout=dice.uniform(1, 2000))
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    await asyncio.sleep(2 * DAY)
    left = [f"{machine.id} is still billed" for machine in world.billed(asyncio.get_running_loop().time())]
    world.calm()
    await settle(scene)
    return left + list(check_journal(scene, run_id, None))


def crowd(seed: int) -> list[str]:
    """Several runs and clients under a cap that not all of them fit under; what broke."""
    return played(_crowd, seed)


async def _crowd(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    timing = few_or_many(dice)
    world = World(seed, Faults(die=dice.uniform(0, 0.01), late=dice.choice([0, 0.3]), refuse=dice.choice([0, 0.3])))
    scene = Scene(world, folder, Caps(hourly=Money(_CAP)), timing=timing)
    patient = {"no_capacity": {"duration": "12h", "backoff": 30}, "interruption": 3}
    job = Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, retry=patient)
    run_ids = [await submit(scene, job.with_(nodes=dice.choice([1, 1, 2]))) for _ in range(4)]
    await generations(scene, dice)
    world.calm()
    await settle(scene)
    broken = [line for run_id in run_ids for line in check_journal(scene, run_id, None)]
    return [*broken, *scene.noted, *_check_cap(world)]


def _check_cap(world: World) -> Iterator[str]:
    """Of the machines that were asked for, never more were there than the cap allows."""
    for newest in world.machines:
        there = {m.token for m in world.machines if m.created <= newest.created < m.ended()}
        if _PRICE * len(there) > _CAP:
            yield f"{len(there)} machines at once, above the cap"


def replaced(seed: int) -> float:
    """Seconds from a node's certain death, while its job runs, to the next attempt's create call."""
    return played(_replaced, seed)


async def _replaced(seed: int, folder: Path) -> float:
    world, loop = World(seed), asyncio.get_running_loop()
    scene = Scene(world, folder, timing=AS_FOR_USERS)
    job = Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, retry={"interruption": 1})
    await submit(scene, job)
    with client(scene) as (engine, _):
        work = asyncio.create_task(follow_all(engine, until_idle=True))
        while not executions(world):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.5)
        executions(world)[0].over = world.machines[0].over = DAY
        # Somewhere between two looks.
        await asyncio.sleep(world.between(0, 1))
        died, world.machines[0].gone = loop.time(), loop.time()
        while len(world.calls) < 2:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        waited = loop.time() - died
        await work
    return waited
