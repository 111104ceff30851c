"""Schedules over a cloud that keeps the token of a create call as a key, and whose answers get lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

from attrs import evolve
from clients import Scene, client, submit
from schedule import check_journal, generations, played, settle, strangers_in
from timings import few_or_many
from truth import check_executions, check_world

from lepton_sdk._engine.followers.follow import request_stop
from lepton_sdk.domain.job import Job
from lepton_sdk.testing import Died, Faults, World

__all__ = ["keys"]


def keys(seed: int) -> list[str]:
    """One run whose create calls are made again under their key; what broke."""
    return played(_play, seed)


async def _play(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    timing = few_or_many(dice)
    faults = Faults(
        die=dice.choice([0, 0, 0.01]),
        pause=dice.choice([0, 0.02]),
        lose_request=dice.choice([0, 0.9]),
        lose_reply=dice.uniform(0.3, 0.9),
        late=dice.choice([0, 0.5]),
        duplicate=dice.choice([0, 0.3]),
        truncate=dice.choice([0, 0.5]),
    )
    world = World(seed, faults, keys=dice.choice([960.0, 1200.0, 3600.0]))
    scene = Scene(world, folder, timing=timing)
    job = Job(
        "true",
        resources={"gpu": "H100:8", "providers": ["sim"]},
        nodes=dice.choice([1, 1, 2]),
        retry={"interruption": dice.choice([0, 3]), "no_capacity": {"duration": "1h", "backoff": 30}},
        limits=dice.choice([{}, {"duration": "2h"}]),
    )
    run_id = await submit(scene, job)
    stop = asyncio.create_task(_stop(scene, run_id, dice.choice([None, dice.uniform(5, 60)])))
    await generations(scene, dice)
    await stop
    world.calm()
    strangers = strangers_in(scene)
    shown = await settle(scene)
    broken = [*check_world(world, strangers, shown, forgetful=False), *check_journal(scene, run_id, None)]
    return [*broken, *check_executions(world, job), *scene.noted]


async def _stop(scene: Scene, run_id: str, when: float | None) -> None:
    if when is not None:
        await asyncio.sleep(when)
        scene.world.faults = evolve(scene.world.faults, unavailable=0.5)
        with client(scene) as (engine, _), suppress(Died):
            request_stop(engine, run_id)
