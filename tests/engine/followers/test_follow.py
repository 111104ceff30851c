"""Many runs in one follower: what all of them want to know is asked once, and each node's end is still seen in time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_sdk import Job
from lepton_sdk._clock import Clock
from lepton_sdk._config import load_config
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.follow import follow_all
from lepton_sdk._engine.runs.submit import record
from lepton_sdk._engine.timing import USUAL, Timing
from lepton_sdk._journal import Journal, Place
from lepton_sdk.domain.events import AnyEvent
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import Unavailable
from lepton_sdk.testing import SIM_SPEC, SimCloud, SimNodes, SimProcess, World, executions, run_virtual

_RUNS = 40


class Inline(Journal):
    """The thread that commits lives in real time, and this test in virtual time."""

    async def write(self, *events: AnyEvent, **limits: Any) -> Run:
        return self.append(*events, **limits)


class Counted(SimCloud):
    """Counts the calls; while ``down``, no listing is answered."""

    def __init__(self, process: SimProcess) -> None:
        super().__init__(process)
        self.calls: Counter[str] = Counter()
        self.down = False

    async def offers(self, resources: Any) -> AsyncIterator[Offer]:
        self.calls["offers"] += 1
        async for offer in super().offers(resources):
            yield offer

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        self.calls["find"] += 1
        if self.down:
            raise Unavailable("not now", provider=SIM_SPEC.name)
        async for node in super().find(owner, token):
            yield node

    async def inspect(self, node: Node) -> Node:
        self.calls["inspect"] += 1
        return await super().inspect(node)


class Scene:
    """A follower of many runs in a world where nothing goes wrong by itself."""

    def __init__(self, folder: Path, timing: Timing = USUAL) -> None:
        self.world = World(7)
        process = SimProcess(self.world)
        self.cloud = Counted(process)

        def open_journal(place: Place, clock: Clock, *, marks: Path) -> Journal:
            return Inline(place, clock, marks=marks)

        self.engine = Engine(
            load_config(state=folder / "state", cache=folder / "cache", environ={"LEPTON_SDK_PLUGINS": "", "HOME": str(folder)}),
            clock=process,
            providers={SIM_SPEC: self.cloud},
            executors={"ssh": SimNodes(process, longest=1e6)},
            open_journal=open_journal,
            entropy=self.world.random.randbytes,
            timing=timing,
        )
        for _ in range(_RUNS):
            record(self.engine, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, retry={"interruption": 3}))

    async def __aenter__(self) -> Scene:
        self.work = asyncio.ensure_future(follow_all(self.engine))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.work.cancel()
        await asyncio.gather(self.work, return_exceptions=True)

    async def until_all_run(self) -> float:
        """How long it took, seconds of their time."""
        began = asyncio.get_running_loop().time()
        while len(executions(self.world)) < _RUNS:
            assert asyncio.get_running_loop().time() < 900
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time() - began

    async def until_another_is_made(self) -> float:
        """How long it took to see an end and take the next machine."""
        made, began = len(self.world.machines), asyncio.get_running_loop().time()
        while len(self.world.machines) == made:
            assert asyncio.get_running_loop().time() - began < 600
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time() - began


def test_what_all_want_to_know_is_asked_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            took = await scene.until_all_run()
            calls, polls = scene.cloud.calls, took / SIM_SPEC.timings.poll
            assert len(scene.world.machines) == _RUNS
            assert 1 <= calls["offers"] <= polls
            # A listing in each interval, those that admit and seek beside it, and no question for each machine that boots.
            assert 1 <= calls["find"] <= 1.5 * polls + 5
            assert calls["inspect"] < _RUNS
            calls.clear()
            await asyncio.sleep(600)
            assert calls.total() <= 40, calls

    run_virtual(main())


def test_a_listing_that_fails_takes_no_machine_from_anybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            while len(scene.world.machines) < _RUNS:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.1)
            scene.cloud.down = True
            await asyncio.sleep(100)
            asked = scene.cloud.calls["find"]
            scene.cloud.down = False
            await scene.until_all_run()
            assert len(scene.world.machines) == _RUNS
            # That it is down is asked once in a while, and not for every run.
            assert asked < _RUNS

    run_virtual(main())


def test_a_dead_node_is_seen_by_a_listing_where_looks_are_rare(tmp_path: Path) -> None:
    """As with tens of thousands of runs: each node is looked at every ten minutes, and one dies right after its look."""

    async def main() -> None:
        async with Scene(tmp_path, evolve(USUAL, poll_each=600 / _RUNS)) as scene:
            await scene.until_all_run()
            await asyncio.sleep(900)
            victim = executions(scene.world)[0].machine
            victim.gone = asyncio.get_running_loop().time()
            took = await scene.until_another_is_made()
            # The interval of listings, the look, the provider's own word and the pause before an attempt.
            assert took < 30

    run_virtual(main())
