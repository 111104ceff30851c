"""Nodes that lie from some moment on, and a wish to release: how long the wish takes to reach the provider."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from clients import Scene, client, end, submit
from schedule import live, played
from timings import AS_FOR_USERS

from lepton_sdk._engine.followers.follow import request_stop
from lepton_sdk.domain.job import Job
from lepton_sdk.spi import WatchdogWay
from lepton_sdk.testing import Machine, World, executions

__all__ = ["liars"]

_LIES = ("garble", "mute", "deaf", "trickle", "endless")
_ASKED = ("poll", "cancel", "logs", "fetch")
_LIMIT = 600
# Seconds from each wish to the provider's release call, at most: what `Timing` says, the look that hears of the wish, and the
# time that steps take here. Two minutes are left to a node that ends its job by itself at the
# limit, and then log and outputs are fetched as after any other end.
_ALLOWED = {"stop": 15.0, "now": 3.0, "limit": 490.0, "over": 320.0, "nonsense": 190.0}


@frozen
class _Wish:
    kind: str
    at: float


def liars(seed: int) -> list[str]:
    """One run whose nodes lie when it is to be stopped, has reached its limit, is over, or goes on; what broke."""
    return played(_lie, seed)


async def _lie(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    world, loop = World(seed), asyncio.get_running_loop()
    world.watchdog = dice.choice([WatchdogWay.STARTUP, WatchdogWay.NONE])
    scene = Scene(world, folder, timing=AS_FOR_USERS)
    kind = dice.choice(list(_ALLOWED))
    job = Job(
        "true",
        resources={"gpu": "H100:8", "providers": ["sim"]},
        nodes=dice.choice([1, 1, 2]),
        outputs=dice.choice([(), ("results/",)]),
        limits={"duration": _LIMIT} if kind == "limit" else {},
    )
    run_id = await submit(scene, job)
    life = asyncio.create_task(live(scene))
    while len(executions(world)) < job.nodes:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.5)
    for one in executions(world):
        # It goes on until somebody ends it, whatever its limit says, or is over by itself.
        one.over = loop.time() + (60 if kind == "over" else 100_000)
    asked = ("logs", "fetch") if kind == "over" else _ASKED
    world.lies = {name: dice.choice(_LIES) for name in dice.sample(asked, dice.randint(1, len(asked)))}
    if kind == "nonsense":
        world.lies["poll"] = "garble"
    await asyncio.sleep(dice.uniform(0, 30))
    if kind in ("stop", "now") and dice.random() < 0.3:
        # Another follower takes over, which knows nothing of the node but the rows.
        await end([life])
        life = asyncio.create_task(live(scene))
        await asyncio.sleep(70)
    wish = await _wished(scene, kind, run_id, dice)
    await asyncio.sleep(_ALLOWED[kind] + 60)
    broken = [line for machine in world.machines for line in _check(machine, wish)]
    await asyncio.sleep(600)
    await end([life])
    return broken + [f"{machine.id} is still billed" for machine in world.billed(loop.time())]


async def _wished(scene: Scene, kind: str, run_id: str, dice: random.Random) -> _Wish:
    loop = asyncio.get_running_loop()
    if kind == "over":
        over = max(one.over for one in executions(scene.world))
        await asyncio.sleep(over - loop.time())
        return _Wish(kind, over)
    if kind == "nonsense":
        # Nobody wishes anything: a node that only ever says what nobody can understand would never say that its job is over.
        return _Wish(kind, loop.time())
    if kind == "limit":
        began = max(one.began for one in executions(scene.world))
        await asyncio.sleep(began + _LIMIT - loop.time())
        return _Wish(kind, loop.time())
    with client(scene) as (engine, _):
        request_stop(engine, run_id)
        if kind == "now":
            await asyncio.sleep(dice.uniform(0, 2))
            request_stop(engine, run_id, now=True)
    return _Wish(kind, loop.time())


def _check(machine: Machine, wish: _Wish) -> Iterator[str]:
    if machine.asked_back is None:
        yield f"{machine.id} was never asked back after {wish.kind}"
    elif machine.asked_back - wish.at > _ALLOWED[wish.kind]:
        yield f"{machine.id} was asked back {machine.asked_back - wish.at:.0f} s after {wish.kind}: too late"
