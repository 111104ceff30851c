"""Anything at all from an executor: whatever it is, a stop gives the machine back in bounded time, and the run ends."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from clients import Scene, client, submit
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from timings import AS_FOR_USERS

from lepton_sdk._engine.followers.follow import follow_all, request_stop
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import LeptonError, NodeUnreachable, OutcomeUnknown, StaleEpoch
from lepton_sdk.spi import WatchdogWay
from lepton_sdk.spi.executor import Execution, ExecutionStatus, Fetched
from lepton_sdk.testing import SimCloud, World, run_virtual

# From a stop, or from the moment at which nothing can be said any more: what `Timing` says, and a look.
_ALLOWED = 20.0


class Unspeakable(Exception):
    """An error whose own words are a bug."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Mute(LeptonError):
    """An error of our tree that was never made by its constructor."""

    def __init__(self) -> None:
        BaseException.__init__(self)


_RAISED: tuple[BaseException, ...] = (
    ValueError("code abc"),
    KeyError("code"),
    OverflowError("date value out of range"),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    StopAsyncIteration(),
    GeneratorExit(),
    SystemExit("out"),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    TimeoutError("not ours"),
    ExceptionGroup("several", [ValueError("a"), OSError(28, "No space left on device")]),
    StaleEpoch("somebody newer was here"),
    NodeUnreachable("\x1b[2Jaway\r\n" * 1000),
    OutcomeUnknown("what is that here"),
    Unspeakable(),
    Mute(),
)
_VALUES = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.datetimes(),
    st.just(datetime.max.replace(tzinfo=UTC)),
    st.just(object),
)
_STATUSES = st.builds(
    ExecutionStatus,
    state=st.sampled_from(["absent", "setup", "running", "finished", "lost"]),
    exit_code=_VALUES,
    signal=_VALUES,
    reason=_VALUES,
    started_at=_VALUES,
    finished_at=_VALUES,
    detail=_VALUES,
    failures=_VALUES,
)
# So many times as many examples: `nox -s nightly` has the time.
_TIMES = int(os.environ.get("LEPTON_SDK_EXAMPLES", "1"))
# An example is short already, and each further try takes long.
_PHASES = [Phase.explicit, Phase.generate]
# What one call does: raise, give something, or give nothing for so long.
_ACTS = st.one_of(
    st.sampled_from(_RAISED),
    _STATUSES,
    _VALUES,
    st.builds(ExecutionStatus, state=st.just("running")),
    st.sampled_from([1.0, 30.0, 1e6]).map(lambda seconds: ("silence", seconds)),
)


@define
class Anything:
    """An executor that does what it was told to do, call after call."""

    acts: Sequence[Any]
    clock: Any
    calls: int = 0
    asked: list[str] = field(factory=list)

    async def _act(self, name: str) -> Any:
        self.asked.append(name)
        act = self.acts[self.calls % len(self.acts)]
        self.calls += 1
        if isinstance(act, tuple) and act and act[0] == "silence":
            await self.clock.sleep(act[1])
            return None
        if isinstance(act, BaseException):
            raise act
        return act

    async def start(self, node: Node, execution: Execution) -> Any:
        return await self._act("start")

    async def poll(self, node: Node, execution: Execution) -> Any:
        return await self._act("poll")

    async def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[Any]:
        for _ in range(3):
            yield await self._act("logs")

    async def fetch(
        self, node: Node, execution: Execution, patterns: Sequence[str], target: Path, *, most: int | None = None
    ) -> Any:
        act = await self._act("fetch")
        return Fetched() if act is None else act

    async def cancel(self, node: Node, execution: Execution) -> Any:
        return await self._act("cancel")

    async def armed(self, node: Node, watchdog: Any) -> Any:
        return True

    async def aclose(self) -> None: ...


async def _stopped(folder: Path, acts: Sequence[Any], after: float) -> tuple[float, str]:
    """Seconds from a stop until the provider was asked for the release, and how the run ended."""
    world, loop = World(7), asyncio.get_running_loop()
    world.watchdog = WatchdogWay.NONE
    scene = Scene(world, folder, timing=AS_FOR_USERS)
    run_id = await submit(scene, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, outputs=("results/",)))
    with client(scene) as (engine, process):
        engine._executors["ssh"] = Anything(acts, process)
        work = asyncio.create_task(follow_all(engine, until_idle=True))
        while not any(node.running_at for node in engine.journal.run(run_id).nodes):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.5)
        await asyncio.sleep(after)
        (machine,) = world.machines[-1:]
        began = loop.time()
        request_stop(engine, run_id)
        await asyncio.wait({work}, timeout=600)
        asked = [one.asked_back for one in world.machines if one.token == machine.token]
        state = str(engine.journal.run(run_id).state)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert asked[0] is not None, "nobody asked for the release"
    return asked[0] - began, state


@settings(max_examples=400 * _TIMES, deadline=None, suppress_health_check=list(HealthCheck), phases=_PHASES)
@given(acts=st.lists(_ACTS, min_size=1, max_size=6), after=st.sampled_from([0.0, 1.0, 7.0]))
def test_whatever_an_executor_does_a_stop_gives_the_machine_back(acts: list[Any], after: float) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if sys.platform == "linux" else None) as folder:
        random.seed(0)
        waited, state = run_virtual(_stopped(Path(folder), acts, after))
    assert waited <= _ALLOWED
    # A run that the executor ended before is what it was said to be.
    assert state not in ("planned", "starting", "running", "stopping"), acts


# What may stand in the place of the node that a create call gave.
_ANSWERS = st.one_of(
    st.just("honest"),
    _VALUES,
    st.sampled_from(_RAISED),
    st.sampled_from(["", "m-999", "m 0", "../m-0", "m-0\n", "x" * 10_000, 17, None]).map(lambda name: ("id", name)),
    st.sampled_from([None, "t-other", 17]).map(lambda token: ("token", token)),
    st.just(("since", "yesterday")),
    st.just(("price", 1.5)),
    st.just(("state", "pending")),
)


class Nonsense(SimCloud):
    """A provider that answers so many times with anything, and then as it should. What it is asked for it does."""

    acts: list[Any]
    answers: list[Any]

    async def _act(self, honest: Any) -> Any:
        if not self.acts:
            return honest
        act = self.acts.pop()
        if isinstance(act, BaseException):
            raise act
        if isinstance(act, tuple) and act and act[0] == "silence":
            await self._process.sleep(act[1])
            return None
        return act

    async def inspect(self, node: Node) -> Node:
        seen: Node = await self._act(await super().inspect(node))
        return seen

    async def release(self, node: Node) -> Node:
        seen: Node = await self._act(await super().release(node))
        return seen

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        async for node in super().find(owner, token):
            yield await self._act(node)

    async def acquire(self, offer: Any, launch: Any) -> Node:
        node: Any = await super().acquire(offer, launch)
        answer = self.answers.pop() if self.answers else "honest"
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, tuple) and len(answer) == 2 and answer[0] in ("id", "token", "since", "price", "state"):
            answer = evolve(node, **{answer[0]: answer[1]})
        given: Any = node if answer == "honest" else answer
        return given  # type: ignore[no-any-return]


async def _rented(folder: Path, acts: list[Any], answers: list[Any]) -> tuple[list[str], str]:
    """What is still billed when the run has ended and a sweep was made, and how the run ended."""
    world, loop = World(7), asyncio.get_running_loop()
    scene = Scene(world, folder)
    run_id = await submit(scene, Job("true", resources={"gpu": "H100:8", "providers": ["sim"]}, retry={"interruption": 9}))
    with client(scene) as (engine, process):
        cloud = Nonsense(process)
        cloud.acts, cloud.answers = list(acts), list(answers)
        engine._brought[world.spec.name] = (world.spec, cloud)
        work = asyncio.create_task(follow_all(engine, until_idle=True))
        await asyncio.wait({work}, timeout=20_000)
        state = str(engine.journal.run(run_id).state)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    return [machine.id for machine in world.billed(loop.time())], state


@settings(max_examples=120 * _TIMES, deadline=None, suppress_health_check=list(HealthCheck), phases=_PHASES)
@given(acts=st.lists(_ACTS, max_size=8), answers=st.lists(_ANSWERS, min_size=1, max_size=3))
def test_whatever_a_provider_answers_nothing_stays_on_the_bill(acts: list[Any], answers: list[Any]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if sys.platform == "linux" else None) as folder:
        random.seed(0)
        billed, state = run_virtual(_rented(Path(folder), acts, answers))
    assert billed == []
    assert state not in ("planned", "starting", "running", "stopping")
