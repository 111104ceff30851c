"""The client processes of a schedule: the real engine and the real journal, which die with their process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from attrs import define, evolve, field, fields, fields_dict
from disk import Disk
from timings import SELDOM
from truth import is_belated

from lepton_sdk._clock import Clock
from lepton_sdk._config import Config, load_config
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.runs.submit import record
from lepton_sdk._engine.timing import Timing
from lepton_sdk._journal import Journal
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.spi.executor import Execution
from lepton_sdk.spi.provider import Launch
from lepton_sdk.testing import SIM_SPEC, Died, Faults, SimCloud, SimNodes, SimProcess, VirtualClock, World

__all__ = ["MortalJournal", "Scene", "account_of", "client", "end", "nobody", "submit"]

# How often a fault strikes where it is to strike.
_AIMED = 0.5
# From a look at the journal to the call that it leads to.
_MOMENT = timedelta(seconds=10)


@define
class Scene:
    """A world, the folder of its clients' journal, and what was seen of them.

    Attributes:
        died_at: the journal rows that a process died right before or after.
        stages: where the rows of each run stand, by what was last written.
        pairs: the stages at which each fault struck.
        noted: what a client did at the very moment and must not.
        epochs: of each follower's newest claim on each run.
        aim: a stage, and the fault that is to strike there, ``left`` times.
        hit: a row stands at that stage for the first time.
        timing: how long the clients wait.
        asked: what each token's first create call asked for.
        closed: the tokens whose rows are closed.
        obeyed: the newest epoch whose start each node obeyed, by node, run and attempt.
    """

    world: World
    folder: Path
    caps: Caps = field(factory=Caps)
    timing: Timing = SELDOM
    disk: Disk = field(init=False)
    config: Config = field(init=False)
    died_at: set[str] = field(factory=set)
    stages: dict[str, set[str]] = field(factory=dict)
    pairs: set[tuple[str, str]] = field(factory=set)
    noted: list[str] = field(factory=list)
    epochs: dict[tuple[str, str], int] = field(factory=dict)
    obeyed: dict[tuple[str, str, int], int] = field(factory=dict)
    closed: set[str] = field(factory=set)
    asked: dict[str, tuple[object, ...]] = field(factory=dict)
    aim: tuple[str, str] | None = None
    hit: asyncio.Event = field(factory=asyncio.Event)
    _usual: Faults = field(init=False)
    _left: int = 3

    def __attrs_post_init__(self) -> None:
        self.disk = Disk(self.folder)
        home = {"LEPTON_SDK_PLUGINS": "", "HOME": str(self.folder)}
        config = load_config(state=self.folder / "state", cache=self.folder / "cache", environ=home)
        self.config = evolve(config, caps=self.caps)
        self.world.on_fault = self.struck
        self._usual = self.world.faults

    def struck(self, fault: str) -> None:
        """A fault strikes: whatever stands somewhere now has met it there."""
        pairs = {(stage, fault) for stages in self.stages.values() for stage in stages}
        self.pairs |= pairs
        if self.aim in pairs and self._left and self.world.faults != Faults():
            self._left -= 1
            if not self._left:
                self.world.faults = self._usual

    def aimed_at(self, fault: str) -> bool:
        """Whether this is where the fault is to strike, for the first time."""
        if self.aim is None or self.aim[1] != fault or not self.hit.is_set() or not self._left:
            return False
        self._left = 0
        return True

    def wrote(self, run: Run) -> None:
        """A run stands elsewhere now."""
        rest = "ended" if run.state.ended else "planned"
        self.stages[run.id] = {str(node.stage) for node in run.nodes if node.held} or {rest}
        self._take_aim(run.id)
        for node in run.nodes:
            if not node.held and node.token not in self.closed:
                self.closed.add(node.token)
                self.noted.extend(self._closed_too_early(node))

    def _take_aim(self, run_id: str) -> None:
        """While a row stands where a fault is to strike it strikes often, a few times."""
        if self.aim is None or self.world.faults == Faults():
            return
        stage, fault = self.aim
        aimed = stage in self.stages[run_id] and self._left > 0
        if aimed:
            self.hit.set()
        if fault in fields_dict(Faults):
            self.world.faults = evolve(self._usual, **{fault: _AIMED}) if aimed else self._usual

    def _closed_too_early(self, record: NodeRecord) -> Iterator[str]:
        now, doubles = asyncio.get_running_loop().time(), {one.node.id for one in record.duplicates}
        for machine in self.world.machines:
            if machine.token != record.token or machine.cloned or machine.id in doubles or machine.ended() <= now:
                continue
            if is_belated(record, machine):
                # A duplicate by then, and held to account in the end.
                continue
            # What bears no tags, or is beyond the end of a broken listing, cannot be told from what is not there.
            told = machine.stamped and "truncate" not in {fault for _, fault in self.pairs}
            if machine.id == record.node.id if record.node is not None else told:
                yield f"the row of {record.token} was closed while its machine {machine.id} is, or will be, billed"


def nobody(holder: str) -> bool:
    """Of no holder it is certain that it lives: each client of a schedule has a host of its own."""
    return False


class MortalJournal(Journal):
    """The real journal; its process may die right before and right after a row became durable."""

    process: SimProcess
    scene: Scene

    def append(self, *events: AnyEvent, caps: Caps | None = None) -> Run:
        try:
            self.process.mortal_moment()
            self.scene.disk.before_commit(self)
            run = super().append(*events, caps=caps)
            self.scene.wrote(run)
            self.process.mortal_moment()
        except Died:
            self.scene.died_at.update(event.kind for event in events)
            raise
        return run

    async def write(self, *events: AnyEvent, caps: Caps | None = None) -> Run:
        # The thread that commits lives in real time, and a seed must go the same way twice.
        run = self.append(*events, caps=caps)
        await self.process.step(0.01)
        return run

    def adopt(self, *events: AnyEvent) -> None:
        self.process.mortal_moment()
        self.scene.disk.before_commit(self)
        super().adopt(*events)
        self.process.mortal_moment()

    def claim(
        self, run_id: str, holder: str, seconds: float, alive: Callable[[str], bool], here: Callable[[str], bool] = nobody
    ) -> int | None:
        self.process.check()
        self.scene.disk.before_commit(self)
        epoch = super().claim(run_id, holder, seconds, alive, here)
        if epoch is not None:
            self.scene.epochs[holder, run_id] = epoch
        return epoch

    def renew_all(self, holder: str, seconds: float) -> dict[str, int]:
        self.process.check()
        self.scene.disk.before_commit(self)
        return super().renew_all(holder, seconds)

    def let_go(self, run_id: str, holder: str, epoch: int) -> None:
        # What was killed gives nothing back on its way out.
        if not self.process.dead:
            self.scene.disk.before_commit(self)
            super().let_go(run_id, holder, epoch)


class _WatchedCloud(SimCloud):
    """Notes a create call that leaves when the journal says that it must not."""

    engine: Engine
    scene: Scene

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self.scene.noted.extend(_wrongly_created(self.engine, launch))
        self.scene.noted.extend(self._wrongly_repeated(launch))
        return await super().acquire(offer, launch)

    def _wrongly_repeated(self, launch: Launch) -> Iterator[str]:
        """A call that is made again asks for the same, and only while somebody wants the machine."""
        first = self.scene.asked.setdefault(launch.token, _request(launch))
        if launch.token not in self._world.calls:
            return
        if first != _request(launch):
            yield f"the create call for {launch.token} was made again with another request"
        run, long_ago = self.engine.journal.run(launch.run_id), self.engine.clock.now() - _MOMENT
        if any(event.kind == "run.stop" and event.at < long_ago for event in self.engine.journal.events(run.id)):
            yield f"the create call for {launch.token} was made again after a stop"
        if any(node.token == launch.token and node.late for node in run.nodes):
            yield f"the create call for {launch.token} was made again when its run had gone on"


def _request(launch: Launch) -> tuple[object, ...]:
    """What the vendor sees of a launch."""
    return tuple(getattr(launch, one.name) for one in fields(Launch) if one.name not in ("announce", "leaving"))


def _wrongly_created(engine: Engine, launch: Launch) -> Iterator[str]:
    holder, until = engine.journal.holder(launch.run_id) or ("", engine.clock.now())
    if holder != engine.holder or until <= engine.clock.now():
        yield f"a create call for {launch.token} left from a follower whose claim had run out"
    members = [node for node in engine.journal.run(launch.run_id).nodes if node.attempt == launch.attempt]
    if any(node.failed for node in members):
        yield f"a create call for {launch.token} left after its attempt had failed"


class _WatchedNodes(SimNodes):
    """Notes an order of an overtaken follower that a node obeyed after it had obeyed a newer one."""

    engine: Engine
    scene: Scene

    def _obey(self, node: Node, execution: Execution) -> None:
        super()._obey(node, execution)
        epoch = self.scene.epochs.get((self.engine.holder, execution.run_id), 0)
        key = (node.id, execution.run_id, execution.attempt)
        newest = self.scene.obeyed.get(key, 0)
        if epoch < newest:
            self.scene.noted.append(f"{node.id} obeyed epoch {epoch} after it had obeyed epoch {newest}")
        self.scene.obeyed[key] = max(epoch, newest)


@contextmanager
def client(scene: Scene, account: str = "main", kind: type[MortalJournal] = MortalJournal) -> Iterator[tuple[Engine, SimProcess]]:
    """A new client process; what is left of it when the block ends is dead.

    Args:
        account: what its credentials open.
        kind: its journal.
    """
    world = scene.world
    process = SimProcess(world)

    def open_journal(path: Path, clock: Clock, *, marks: Path) -> Journal:
        journal = kind(path, clock, marks=marks)
        journal.process, journal.scene = process, scene
        return journal

    cloud, nodes = _WatchedCloud(process, account=account), _WatchedNodes(process)
    engine = Engine(
        scene.config,
        clock=process,
        providers={world.spec: cloud},
        executors={"ssh": nodes},
        open_journal=open_journal,
        entropy=world.random.randbytes,
        timing=scene.timing,
    )
    # What is installed here is the same for every client, and none of it is used.
    engine.registry = Registry(scene.config, process, entries=())
    cloud.engine = nodes.engine = engine
    cloud.scene = nodes.scene = scene
    # Two processes of one host have two names, and each of them may be alive for all that the other knows.
    engine.holder = f"elsewhere/boot/{world.random.getrandbits(32)}/1/x"
    try:
        yield engine, process
    finally:
        process.dead = True
        with suppress(sqlite3.Error):
            engine.journal.close()


async def submit(scene: Scene, job: Job) -> str:
    world = scene.world
    faults, world.faults = world.faults, Faults()
    with client(scene) as (engine, _):
        run = record(engine, job)
    world.faults = faults
    return run.id


async def end(lives: list[asyncio.Task[bool]]) -> None:
    for task in lives:
        task.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


def account_of(scene: Scene) -> str:
    """The person gives the credentials that the open rows need."""
    journal = Journal(scene.folder / "state" / "journal.db", VirtualClock(), writable=False)
    try:
        return journal.account(SIM_SPEC.name) or "main"
    finally:
        journal.close()
