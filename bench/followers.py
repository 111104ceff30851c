"""One process follows many runs over a simulated cloud: what it costs in calls, memory and processor time.

``python bench/followers.py 1000`` plays ten minutes of a thousand runs in virtual time, then kills one node.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lepton_sdk._clock import Clock
from lepton_sdk._config import load_config
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.follow import follow_all
from lepton_sdk._engine.runs.submit import record
from lepton_sdk._journal import Journal, Place
from lepton_sdk.domain.events import Event
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.run import Run
from lepton_sdk.testing import SIM_SPEC, SimCloud, SimNodes, SimProcess, World, executions, run_virtual

_MINUTES = 10


class _Inline(Journal):
    """The thread that commits lives in real time, and this bench in virtual time."""

    async def write(self, *events: Event, **limits: Any) -> Run:
        return self.append(*events, **limits)


class _Counted(SimCloud):
    """Counts the calls that leave."""

    calls: ClassVar[Counter[str]] = Counter()

    async def offers(self, resources: Any) -> AsyncIterator[Any]:
        self.calls["offers"] += 1
        async for offer in super().offers(resources):
            yield offer

    async def acquire(self, offer: Any, launch: Any) -> Node:
        self.calls["acquire"] += 1
        return await super().acquire(offer, launch)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        self.calls["find"] += 1
        async for node in super().find(owner, token):
            yield node

    async def inspect(self, node: Node) -> Node:
        self.calls["inspect"] += 1
        return await super().inspect(node)

    async def release(self, node: Node) -> Node:
        self.calls["release"] += 1
        return await super().release(node)


class _Indexed(SimNodes):
    """What is simulated must not cost more than what is measured."""

    def __init__(self, process: SimProcess) -> None:
        super().__init__(process, longest=1e6)
        self._machines: dict[str, Any] = {}
        self._running: dict[tuple[str, str, int], Any] = {}

    def _machine(self, node: Node) -> Any:
        if node.id not in self._machines:
            self._machines.update((machine.id, machine) for machine in self._world.machines[len(self._machines) :])
        return self._machines[node.id]

    def _find(self, node: Node, execution: Any) -> Any:
        known = executions(self._world)
        if len(self._running) < len(known):
            self._running.update(((r.machine.id, r.run, r.attempt), r) for r in known[len(self._running) :])
        return self._running.get((node.id, execution.run_id, execution.attempt))


async def play(runs: int, folder: Path) -> None:
    world, loop = World(1), asyncio.get_running_loop()
    process = SimProcess(world)

    def open_journal(place: Place, clock: Clock, *, marks: Path) -> Journal:
        return _Inline(place, clock, marks=marks)

    engine = Engine(
        load_config(state=folder / "state", cache=folder / "cache", environ={"LEPTON_SDK_PLUGINS": "", "HOME": str(folder)}),
        clock=process,
        providers={SIM_SPEC: _Counted(process)},
        executors={"ssh": _Indexed(process)},
        open_journal=open_journal,
        entropy=world.random.randbytes,
    )
    for _ in range(runs):
        record(engine, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, retry={"interruption": 3}))
    began = time.process_time()
    work = asyncio.ensure_future(follow_all(engine))
    while len(executions(world)) < runs:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(10)
    started, calls = loop.time(), sum(_Counted.calls.values())
    print(f"{runs} runs started: {started:.0f} s of their time, {time.process_time() - began:.1f} s of ours, {calls} calls")
    print(f"calls to start: {dict(_Counted.calls)}")
    _Counted.calls.clear()
    began = time.process_time()
    await asyncio.sleep(_MINUTES * 60)
    spent = time.process_time() - began
    per_minute = sum(_Counted.calls.values()) / _MINUTES
    print(f"followed for {_MINUTES} minutes: {per_minute:.1f} calls a minute, {spent / _MINUTES:.2f} s of processor a minute")
    victim, died = executions(world)[0].machine, loop.time()
    victim.gone = died
    made = len(world.machines)
    while len(world.machines) == made:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)
    print(f"from a node's death to the next create call: {loop.time() - died:.1f} s (of them 5 are the pause before an attempt)")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most")
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        run_virtual(play(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, Path(folder)))


if __name__ == "__main__":
    main()
