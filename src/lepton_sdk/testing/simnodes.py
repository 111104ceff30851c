"""SimNodes: the executor contract over a simulated world, with a record of what ran where and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from math import inf
from pathlib import Path

from attrs import define, field

from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import ContractViolation, NodeError, NodeUnreachable, StaleEpoch
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus, Fetched, Watchdog
from lepton_sdk.testing.simprocess import SimProcess
from lepton_sdk.testing.simworld import Machine, World

__all__ = ["Running", "SimNodes", "executions"]

# Answers of an executor that reads garbage, or that never expects any.
_NONSENSE: tuple[BaseException, ...] = (
    ValueError("invalid literal for int() with base 10: 'abc'"),
    KeyError("code"),
    OverflowError("timestamp out of range for platform time_t"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ContractViolation("an answer without sense"),
    SystemExit(3),
    asyncio.CancelledError(),
    NodeError("the host key has changed"),
)
_FOR_EVER = 1e7


@define
class Running:
    """One execution on its machine: when it began, and when it ended or will end."""

    machine: Machine
    run: str
    attempt: int
    rank: int
    epoch: int
    began: float
    over: float
    cancelled: bool = False
    lease: float = inf

    def end(self) -> float:
        """When it stopped, by itself or with its machine."""
        return min(self.over, self.lease, self.machine.interrupted, self.machine.ended())


@define
class _Shared:
    running: list[Running] = field(factory=list)
    cut_until: dict[str, float] = field(factory=dict)


def executions(world: World) -> list[Running]:
    """Everything that was ever started in a world."""
    return _shared(world).running


def _shared(world: World) -> _Shared:
    return _STATES.setdefault(id(world), (world, _Shared()))[1]


# By id(), with the world itself so that its id stays unique.
_STATES: dict[int, tuple[World, _Shared]] = {}


class SimNodes:
    """The executor as one process sees it.

    Args:
        longest: no job takes longer, seconds.
    """

    def __init__(self, process: SimProcess, longest: float = 600) -> None:
        self._process = process
        self._world = process.world
        self._longest = longest
        self._told: dict[str, float] = {}

    async def start(self, node: Node, execution: Execution) -> None:
        """Start, once for each run and attempt; the answer may be lost after the start."""
        await self._reach(node, "start")
        self._obey(node, execution)
        await self._reach(node, "start")

    def _obey(self, node: Node, execution: Execution) -> None:
        found = self._find(node, execution)
        if found is None:
            now = self._process.monotonic()
            took = self._world.between(1, self._longest)
            machine = self._machine(node)
            one = Running(machine, execution.run_id, execution.attempt, execution.rank, execution.epoch, now, now + took)
            one.lease = now + execution.lease if execution.lease is not None else inf
            executions(self._world).append(one)
            machine.begun, machine.over = now, min(one.over, one.lease)
        elif execution.epoch < found.epoch:
            raise StaleEpoch("a newer follower was here", provider=node.provider)
        else:
            found.epoch = execution.epoch

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        """Return the execution's state now; a poll also counts as a visit to the machine."""
        await self._reach(node, "poll")
        if execution.watchdog:
            machine = self._machine(node)
            machine.visited = self._process.monotonic()
            machine.told = True
        found = self._find(node, execution)
        if found is not None and execution.lease is not None:
            await self._renew(node, found, execution.lease)
        status = self._status(found)
        await self._process.hear()
        return status

    def _status(self, found: Running | None) -> ExecutionStatus:
        if found is None:
            return ExecutionStatus(ExecutionState.ABSENT)
        if found.lease < min(self._process.monotonic(), found.over):
            return ExecutionStatus(ExecutionState.LOST, detail="nobody renewed its lease")
        if self._process.monotonic() < found.over:
            return ExecutionStatus(ExecutionState.RUNNING)
        reason = "cancelled" if found.cancelled else "exit"
        return ExecutionStatus(ExecutionState.FINISHED, exit_code=143 if found.cancelled else 0, reason=reason)

    async def _renew(self, node: Node, found: Running, lease: float) -> None:
        """Count from the node's last answer, because this answer may be lost as well."""
        now, told = self._process.monotonic(), self._told.get(node.id)
        if told is not None and now < found.lease:
            found.lease = max(found.lease, told + lease)
            found.machine.over = min(found.over, found.lease)
        await self._reach(node, "poll")
        self._told[node.id] = now

    async def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Yield a line, unless the node lies: it may also trickle, or never end."""
        await self._reach(node, "logs")
        yield b"begun\n"
        while lie := self._world.lies.get("logs"):
            yield b"x" * (1 << 16 if lie == "endless" else 1)
            await self._process.sleep(0 if lie == "endless" else 5)

    async def fetch(
        self, node: Node, execution: Execution, patterns: Sequence[str], target: Path, *, most: int | None = None
    ) -> Fetched:
        """Fetch nothing: there are no files."""
        await self._reach(node, "fetch")
        while self._world.lies.get("fetch") in ("trickle", "endless"):
            await self._process.sleep(5)
        return Fetched()

    async def cancel(self, node: Node, execution: Execution) -> None:
        """End it now."""
        await self._reach(node, "cancel")
        found, now = self._find(node, execution), self._process.monotonic()
        if found is not None and now < min(found.over, found.lease):
            found.over, found.cancelled = now, True
            found.machine.over = now

    async def armed(self, node: Node, watchdog: Watchdog) -> bool:
        """Whether the machine's watchdog runs."""
        await self._reach(node, "armed")
        lives = self._machine(node).armed <= self._process.monotonic()
        await self._process.hear()
        return lives

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""

    async def _reach(self, node: Node, asked: str) -> None:
        await self._process.step(0.5)
        lie = self._world.lies.get(asked, "")
        if lie == "garble" or self._world.strikes("garble"):
            raise self._world.random.choice(_NONSENSE)
        if lie in ("mute", "deaf") or self._world.strikes("mute"):
            await self._say_nothing(deaf=lie == "deaf" or (not lie and self._world.happens(0.5)))
        now, cut = self._process.monotonic(), _shared(self._world).cut_until
        machine = self._machine(node)
        if self._world.strikes("cut"):
            cut[machine.id] = now + self._world.between(1, 900)
        if machine.id in self._world.stranded or not machine.alive(now) or now < cut.get(machine.id, 0):
            await self._process.hear()
            raise NodeUnreachable("no answer", provider=node.provider)

    async def _say_nothing(self, *, deaf: bool) -> None:
        waited = self._process.monotonic() + _FOR_EVER
        while self._process.monotonic() < waited:
            try:
                await self._process.sleep(_FOR_EVER)
            except asyncio.CancelledError:
                if not deaf or self._process.dead:
                    raise

    def _machine(self, node: Node) -> Machine:
        assert isinstance(node.access, SSHAccess)
        name = node.access.host
        return next(machine for machine in self._world.machines if machine.id == name)

    def _find(self, node: Node, execution: Execution) -> Running | None:
        machine = self._machine(node)
        key = (machine.id, execution.run_id, execution.attempt)
        return next((r for r in executions(self._world) if (r.machine.id, r.run, r.attempt) == key), None)
