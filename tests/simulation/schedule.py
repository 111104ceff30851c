"""One schedule: the real engine and the real journal over a simulated world, in which client after client dies.

``replay(seed)`` gives what broke, as sentences; none is a good end.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen
from past import Past
from truth import check_executions, check_world

from lepton_sdk._clock import Clock
from lepton_sdk._config import load_config
from lepton_sdk._engine import follower
from lepton_sdk._engine.adopt import adopt
from lepton_sdk._engine.follower import follow_all
from lepton_sdk._engine.reconcile import Difference, reconcile
from lepton_sdk._engine.session import Session
from lepton_sdk._engine.submit import record
from lepton_sdk._journal import Journal
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.run import Event, Run
from lepton_sdk.errors import JournalError, LeptonError
from lepton_sdk.spi import WatchdogWay
from lepton_sdk.testing import (
    SIM_SPEC,
    Died,
    Faults,
    Machine,
    SimCloud,
    SimNodes,
    SimProcess,
    World,
    fake_offer,
    run_virtual,
)

__all__ = ["DAY", "Outcome", "leave", "replay", "silent"]

DAY = 86400.0
# Long enough for every run to end whose credentials are the right ones.
_CALM = 14400.0
# So many clients stand about at the same time, believing that the run is theirs.
_AT_ONCE = 3
_SHOWN = frozenset({Difference.STRAY, Difference.DOUBTFUL, Difference.UNMARKED})
_RAM = Path("/dev/shm")
# Four looks a second for days of nothing would be most of what a simulation does.
follower._LOOK_SECONDS = 5.0


@frozen
class Outcome:
    """How a schedule ended.

    Attributes:
        broken: what must never be and was.
        stages: the journal rows that a process died right before or after.
        processes: how many clients it took.
    """

    broken: tuple[str, ...]
    stages: frozenset[str]
    processes: int


class _MortalJournal(Journal):
    """The real journal; its process may die right before and right after a row became durable."""

    process: SimProcess
    died_at: set[str]

    def append(self, *events: Event, caps: Caps | None = None) -> Run:
        try:
            self.process.mortal_moment()
            run = super().append(*events, caps=caps)
            self.process.mortal_moment()
        except Died:
            self.died_at.update(event.kind for event in events)
            raise
        return run

    async def write(self, *events: Event, caps: Caps | None = None) -> Run:
        # The thread that commits lives in real time, and a seed must go the same way twice.
        return self.append(*events, caps=caps)


def replay(seed: int) -> Outcome:
    """Play the schedule of a seed."""
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        return run_virtual(_play(seed, Path(folder)))


def leave(seed: int) -> list[str]:
    """One client begins a run and is never seen again; what of its machines is billed when days have passed."""
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        return run_virtual(_abandon(seed, Path(folder)))


def silent(seed: int) -> tuple[list[str], float]:
    """A provider that answers nothing for a day while a machine of ours is there; what broke, and when the run ended."""
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        return run_virtual(_silence(seed, Path(folder)))


async def _silence(seed: int, folder: Path) -> tuple[list[str], float]:
    world, loop = World(seed), asyncio.get_running_loop()
    # A watchdog would have ended the machine long before.
    world.watchdog = WatchdogWay.NONE
    run_id = await _submit(world, folder, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}))
    with _client(world, folder, set()) as (session, _):
        work = asyncio.create_task(follow_all(session, until_idle=True))
        while not any(node.running_at for node in session.journal.run(run_id).nodes):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1)
        world.faults = Faults(unavailable=1.0)
        await asyncio.sleep(DAY)
        open_rows, billed = len(session.journal.providers_with_open_nodes()), len(world.billed(loop.time()))
        world.calm()
        await work
        run = session.journal.run(run_id)
    left = [f"{machine.id} is still billed" for machine in world.billed(loop.time())]
    if (open_rows, billed) != (1, 1):
        left.append(f"{open_rows} open rows for {billed} machines while nobody answered")
    return left + ([] if run.state.ended else ["the run is in limbo"]), loop.time()


async def _abandon(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    world = World(seed, Faults(die=dice.uniform(0, 0.05), cut=dice.choice([0, 0.1])))
    await _submit(world, folder, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}))
    life = asyncio.create_task(_life(world, folder, set()))
    await asyncio.wait({life}, timeout=dice.uniform(1, 2000))
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    await asyncio.sleep(2 * DAY)
    return [f"{machine.id} is still billed" for machine in world.billed(asyncio.get_running_loop().time())]


def _faults(dice: random.Random) -> Faults:
    """Another mixture for each seed: most faults off, so that those that are on meet in pairs."""

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
        truncate=maybe(0.2, 0.3),
        clone=maybe(0.3, 0.2),
        unstamp=maybe(0.2, 0.02),
    )


async def _play(seed: int, folder: Path) -> Outcome:
    dice = random.Random(seed)
    world = World(seed, _faults(dice))
    # Some clouds run nothing at boot, so that their machines have no watchdog.
    world.watchdog = dice.choice([WatchdogWay.STARTUP, WatchdogWay.STARTUP, WatchdogWay.NONE])
    died_at: set[str] = set()
    astray = dice.choice([0, 0, 0, 0, 0, 0.5])
    job = Job(
        "true",
        resources={"gpu": "H100:8", "providers": ["sim"]},
        nodes=dice.choice([1, 1, 1, 2, 3]),
        retry={"interruption": dice.choice([0, 0, 3]), "no_capacity": {"duration": "4h", "backoff": 30}},
    )
    run_id = await _submit(world, folder, job)
    past = Past(folder, dice) if dice.random() < 0.25 else None
    processes = await _generations(world, folder, died_at, dice, astray, past)
    world.calm()
    strangers = _strangers(world, folder)
    shown = await _settle(world, folder)
    forgetful = past is not None and past.happened
    broken = [*check_world(world, strangers, shown, forgetful=forgetful), *_check_journal(folder, world, run_id, past)]
    if past is None or past.is_known:
        broken += check_executions(world, job)
    return Outcome(tuple(broken), frozenset(died_at), processes)


@contextmanager
def _client(world: World, folder: Path, died_at: set[str], account: str = "main") -> Iterator[tuple[Session, SimProcess]]:
    process = SimProcess(world)

    def open_journal(path: Path, clock: Clock, *, marks: Path) -> Journal:
        journal = _MortalJournal(path, clock, marks=marks)
        journal.process, journal.died_at = process, died_at
        return journal

    session = Session(
        load_config(state=folder / "state", cache=folder / "cache", environ={"LEPTON_SDK_PLUGINS": "", "HOME": str(folder)}),
        clock=process,
        providers={world.spec: SimCloud(process, account=account)},
        executors={"LocalAccess": SimNodes(process)},
        open_journal=open_journal,
        entropy=world.random.randbytes,
    )
    # Two processes of one host have two names, and each of them may be alive for all that the other knows.
    session.holder = f"elsewhere/boot/{world.random.getrandbits(32)}/1/x"
    try:
        yield session, process
    finally:
        process.dead = True
        with suppress(sqlite3.Error):
            session.journal.close()


async def _submit(world: World, folder: Path, job: Job) -> str:
    faults, world.faults = world.faults, Faults()
    with _client(world, folder, set()) as (session, _):
        run = record(session, job)
    world.faults = faults
    return run.id


async def _generations(
    world: World, folder: Path, died_at: set[str], dice: random.Random, astray: float, past: Past | None
) -> int:
    """Client after client drives what is open, until nothing is or a day is over. A paused one overlaps with the next."""
    loop = asyncio.get_running_loop()
    lives: list[asyncio.Task[bool]] = []
    begun, idle = 0, False
    while not idle and loop.time() < DAY:
        account, lost = _account(world, folder), dice.random() < astray
        if lost:
            account = "main" if account == "elsewhere" else "elsewhere"
        lives.append(asyncio.create_task(_life(world, folder, died_at, account)))
        begun += 1
        done, _ = await asyncio.wait(lives, timeout=dice.uniform(60, 4000), return_when=asyncio.FIRST_COMPLETED)
        idle = any(task.result() for task in done)
        if lost and not idle:
            # Whoever gave it the wrong credentials sees that nothing moves.
            await _end(lives[-1:])
        lives = [task for task in lives if not task.done()]
        if len(lives) > _AT_ONCE:
            await _end([lives.pop(0)])
        if past is not None and not idle:
            await _end(lives)
            lives = []
            past.between_clients()
        if done and not idle:
            await asyncio.sleep(dice.uniform(0, 200))
    await _end(lives)
    return begun


async def _end(lives: list[asyncio.Task[bool]]) -> None:
    for task in lives:
        task.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


async def _life(world: World, folder: Path, died_at: set[str], account: str = "main") -> bool:
    """One client until it dies (``False``) or finds nothing left to do (``True``)."""
    with _client(world, folder, died_at, account) as (session, process):
        if session.journal.frozen:
            adopt(session)
        work = asyncio.create_task(follow_all(session, until_idle=True))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=5)
                # A person reads that nothing is done any more, and says that there is no other journal.
                if process.dead or session.journal.frozen:
                    return False
            return not isinstance(work.exception(), BaseException)
        finally:
            process.dead = True
            work.cancel()
            with suppress(BaseException):
                await work


def _strangers(world: World, folder: Path) -> list[Machine]:
    """A machine of another owner, and one with our owner that our journal does not know: neither may be touched."""
    with _client(world, folder, set()) as (session, _):
        owner = session.journal.owner
    now, offer = asyncio.get_running_loop().time(), fake_offer("box", provider=SIM_SPEC.name)
    found = [Machine(f"stranger-{o}", f"t-{o}", o, offer, now, now, now, 1e12) for o in ("somebody", owner)]
    world.machines.extend(found)
    return found


async def _settle(world: World, folder: Path) -> set[str]:
    """A calm client finishes what is open; then one command lists and gives back what turned up late.

    Returns:
        The ids of what the last command showed.
    """
    for _ in range(3):
        account = _account(world, folder)
        with _client(world, folder, set(), account) as (session, _):
            if session.journal.frozen:
                adopt(session)
            with suppress(TimeoutError):
                async with asyncio.timeout(_CALM):
                    await follow_all(session, until_idle=True)
        await asyncio.sleep(2 * SIM_SPEC.timings.create_horizon)
    return await _listed(world, folder, "main") | await _listed(world, folder, "elsewhere")


def _account(world: World, folder: Path) -> str:
    """The person gives the credentials that the open rows need."""
    with _client(world, folder, set()) as (session, _):
        return session.journal.account(SIM_SPEC.name) or "main"


async def _listed(world: World, folder: Path, account: str) -> set[str]:
    for _ in range(10):
        with _client(world, folder, set(), account) as (session, _):
            report = await reconcile(session)
            if session.journal.frozen:
                adopt(session)
        if all(line.difference in _SHOWN for line in report.nodes):
            break
        await asyncio.sleep(120)
    return {line.id for line in report.nodes if line.difference in _SHOWN}


def _check_journal(folder: Path, world: World, run_id: str, past: Past | None) -> Iterator[str]:
    with _client(world, folder, set()) as (session, _):
        try:
            session.journal.verify()
            run = session.journal.run(run_id)
        except (JournalError, LeptonError) as error:
            yield f"the journal does not hold: {error}"
            return
    if not run.state.ended:
        yield f"the run is in limbo: {run.state}"
    if past is not None and past.happened:
        return
    known = {node.token for node in run.nodes}
    yield from (f"a create call was made for {token}, which no row announced" for token in world.calls if token not in known)
