"""One schedule: the real engine and the real journal over a simulated world, in which client after client dies.

``replay(seed)`` gives what broke, as sentences; none is a good end.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from clients import Scene, account_of, client, end, submit
from past import Past
from reachable import PAIRS
from timings import few_or_many
from truth import Shown, check_cost, check_executions, check_gangs, check_world

from lepton_sdk._engine.followers.follow import follow_all
from lepton_sdk._engine.ownership import adopt
from lepton_sdk._engine.reconcile import Difference, reconcile
from lepton_sdk.domain.job import Job
from lepton_sdk.errors import JournalError, LeptonError
from lepton_sdk.spi import WatchdogWay
from lepton_sdk.testing import (
    SIM_SPEC,
    Died,
    Faults,
    Machine,
    World,
    fake_offer,
    run_virtual,
)

__all__ = [
    "DAY",
    "Outcome",
    "check_journal",
    "generations",
    "live",
    "played",
    "replay",
    "settle",
    "some_faults",
    "strangers_in",
]

DAY = 86400.0
# Long enough for every run to end whose credentials are the right ones.
_CALM = 14400.0
# So many clients stand about at the same time, believing that the run is theirs.
_AT_ONCE = 3
_SHOWN = frozenset({Difference.STRAY, Difference.DOUBTFUL, Difference.UNMARKED})
_RAM = Path("/dev/shm")
_T = TypeVar("_T")


@frozen
class Outcome:
    """How a schedule ended.

    Attributes:
        broken: what must never be and was.
        stages: the journal rows that a process died right before or after.
        pairs: stages of a row, and the faults that struck while it stood there.
        processes: how many clients it took.
    """

    broken: tuple[str, ...]
    stages: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    processes: int


def played(scene: Callable[..., Coroutine[Any, Any, _T]], seed: int, *more: object) -> _T:
    """What comes of a scene in virtual time, in a folder of its own, which is memory where there is some."""
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        return run_virtual(scene(seed, Path(folder), *more))


def replay(seed: int, aim: tuple[str, str] | None = None) -> Outcome:
    """Play the schedule of a seed.

    Args:
        aim: the stage of a row, and the fault that is to strike there; another one for each seed without it.
    """
    return played(_play, seed, aim or PAIRS[seed % len(PAIRS)])


def some_faults(dice: random.Random) -> Faults:
    """Another mixture for each seed: most faults off, so that those that are on meet in pairs."""

    aside = random.Random(str(dice.getstate()[1][:3]))

    def maybe(chance: float, most: float) -> float:
        return dice.uniform(0, most) if dice.random() < chance else 0.0

    return Faults(
        die=maybe(0.8, 0.05),
        pause=maybe(0.3, 0.03),
        refuse=maybe(0.3, 0.5),
        lose_request=maybe(0.3, 0.5),
        lose_reply=maybe(0.4, 0.6),
        late=maybe(0.4, 0.6),
        duplicate=maybe(0.3, 0.5),
        fail_boot=maybe(0.2, 0.4),
        interrupt=maybe(0.3, 0.5),
        forget_release=maybe(0.4, 0.7),
        unavailable=maybe(0.3, 0.3),
        cut=maybe(0.3, 0.1),
        unarmed=maybe(0.3, 0.4),
        garble=maybe(0.3, 0.1),
        mute=maybe(0.3, 0.05),
        truncate=maybe(0.2, 0.3),
        clone=maybe(0.3, 0.2),
        unstamp=maybe(0.2, 0.02),
        # Clocks are set by dice of their own, so that whatever else happens stays as it is without.
        jump=aside.uniform(0, 0.1) if aside.random() < 0.3 else 0.0,
    )


async def _play(seed: int, folder: Path, aim: tuple[str, str]) -> Outcome:
    dice = random.Random(seed)
    timing = few_or_many(dice)
    world = World(seed, some_faults(dice))
    # Some clouds run nothing at boot, so that their machines have no watchdog.
    world.watchdog = dice.choice([WatchdogWay.STARTUP, WatchdogWay.STARTUP, WatchdogWay.NONE])
    scene = Scene(world, folder, timing=timing)
    # Chance alone comes to some of the pairs once in a thousand schedules.
    scene.aim = aim
    # Some clouds keep the token of a create call as a key. Of dice of their own, so that the rest stays as it is without.
    world.keys = random.Random(f"keys {seed}").choice([0.0, 0.0, 1200.0, 3600.0])
    astray = dice.choice([0, 0, 0, 0, 0, 0.5])
    patience = dice.choice(["1h", "1h", "1h", "4h"])
    job = Job(
        "true",
        resources={"gpu": "H100:8", "providers": ["sim"]},
        nodes=dice.choice([1, 1, 1, 2, 3]),
        retry={"interruption": dice.choice([0, 0, 3]), "no_capacity": {"duration": patience, "backoff": 30}},
        outputs=dice.choice([(), ("results/",)]),
    )
    run_id = await submit(scene, job)
    past = Past(folder, dice) if dice.random() < 0.25 or aim[1] == "rollback" else None
    if past is not None and dice.random() < 0.5:
        # Before anything was asked for; else some time later.
        past.back_up()
    processes = await generations(scene, dice, astray, past)
    world.calm()
    strangers = strangers_in(scene)
    shown = await settle(scene)
    forgetful = past is not None and past.happened
    broken = [*check_world(world, strangers, shown, forgetful=forgetful), *check_journal(scene, run_id, past)]
    if past is None or past.is_known:
        broken += [*check_executions(world, job), *scene.noted]
    return Outcome(tuple(broken), frozenset(scene.died_at), frozenset(scene.pairs), processes)


async def generations(scene: Scene, dice: random.Random, astray: float = 0, past: Past | None = None) -> int:
    """Client after client drives what is open, until nothing is or a day is over. A paused one overlaps with the next."""
    loop = asyncio.get_running_loop()
    lives: list[asyncio.Task[bool]] = []
    begun, idle = 0, False
    crashes = dice.choice([0, 0, 0, 0.3])
    while not idle and loop.time() < DAY:
        account, lost = account_of(scene), dice.random() < astray or scene.aimed_at("other account")
        if lost:
            scene.struck("other account")
            account = "main" if account == "elsewhere" else "elsewhere"
        lives.append(asyncio.create_task(live(scene, account)))
        begun += 1
        done = await _until_something(scene, lives, dice.uniform(60, 4000))
        idle = any(task.result() for task in done)
        if lost and not idle:
            # Whoever gave it the wrong credentials sees that nothing moves.
            await end(lives[-1:])
        lives = [task for task in lives if not task.done()]
        if len(lives) > _AT_ONCE:
            await end([lives.pop(0)])
        if past is not None and not idle:
            await end(lives)
            lives = []
            if past.between_clients():
                scene.struck("rollback")
        elif not idle and (dice.random() < crashes or scene.aimed_at("power loss")):
            await end(lives)
            lives = []
            scene.disk.crash(dice)
            scene.struck("power loss")
        if done and not idle:
            await asyncio.sleep(dice.uniform(0, 200))
    await end(lives)
    return begun


async def _until_something(scene: Scene, lives: list[asyncio.Task[bool]], seconds: float) -> set[asyncio.Task[bool]]:
    """Wait until a client has ended, or a row stands where something is to happen between clients; the clients that ended."""
    if scene.aim is None or scene.aim[1] not in {"rollback", "power loss", "other account"} or scene.hit.is_set():
        return (await asyncio.wait(lives, timeout=seconds, return_when=asyncio.FIRST_COMPLETED))[0]
    there = asyncio.create_task(scene.hit.wait())
    await asyncio.wait([*lives, there], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    there.cancel()
    return {task for task in lives if task.done()}


async def live(scene: Scene, account: str = "main") -> bool:
    """One client until it dies (``False``) or finds nothing left to do (``True``)."""
    with client(scene, account) as (engine, process):
        try:
            if engine.journal.frozen:
                adopt(engine)
        except Died:
            return False
        work = asyncio.create_task(follow_all(engine, until_idle=True))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=5)
                # A person reads that nothing is done any more, and says that there is no other journal.
                if process.dead or engine.journal.frozen:
                    return False
            return not isinstance(work.exception(), BaseException)
        finally:
            process.dead = True
            work.cancel()
            with suppress(BaseException):
                await work


def strangers_in(scene: Scene) -> list[Machine]:
    """A machine of another owner, and one with our owner that our journal does not know: neither may be touched."""
    with client(scene) as (engine, _):
        owner = engine.journal.owner
    now, offer = asyncio.get_running_loop().time(), fake_offer("box", provider=SIM_SPEC.name)
    found = [Machine(f"stranger-{o}", f"t-{o}", o, offer, now, now, now, 1e12) for o in ("somebody", owner)]
    scene.world.machines.extend(found)
    return found


async def settle(scene: Scene) -> Shown:
    """A calm client finishes what is open; then one command lists and gives back what turned up late.

    Returns:
        What the last command showed.
    """
    for _ in range(3):
        account = account_of(scene)
        with client(scene, account) as (engine, _):
            if engine.journal.frozen:
                adopt(engine)
            with suppress(TimeoutError):
                async with asyncio.timeout(_CALM):
                    await follow_all(engine, until_idle=True)
        await asyncio.sleep(2 * SIM_SPEC.timings.create_horizon)
    return await _listed(scene, "main") | await _listed(scene, "elsewhere")


async def _listed(scene: Scene, account: str) -> Shown:
    for _ in range(10):
        with client(scene, account) as (engine, _):
            report, now = await reconcile(engine), asyncio.get_running_loop().time()
            if engine.journal.frozen:
                adopt(engine)
        if all(line.difference in _SHOWN for line in report.nodes):
            break
        await asyncio.sleep(120)
    return {line.id: (line.cost, now) for line in report.nodes if line.difference in _SHOWN}


def check_journal(scene: Scene, run_id: str, past: Past | None) -> Iterator[str]:
    with client(scene) as (engine, _):
        try:
            engine.journal.verify()
            run = engine.journal.run(run_id)
        except (JournalError, LeptonError) as error:
            yield f"the journal does not hold: {error}"
            return
    if not run.state.ended:
        yield f"the run is in limbo: {run.state}"
    if past is not None and past.happened:
        return
    known = {node.token for node in run.nodes}
    yield from check_cost(scene.world, run, whole="truncate" not in {fault for _, fault in scene.pairs})
    yield from check_gangs(scene.world, run)
    if len(scene.stages) == 1:
        calls = scene.world.calls
        yield from (f"a create call was made for {token}, which no row announced" for token in calls if token not in known)
