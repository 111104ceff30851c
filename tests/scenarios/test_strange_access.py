"""Nodes with a kind of access that core does not know, whose executor is not here, or not any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_sdk import AsyncClient, Job, RunState
from lepton_sdk.domain.run import Run
from lepton_sdk.spi import CustomAccess, Execution, ExecutionState, ExecutionStatus, Launch, Node, Offer
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


class Burrows(FakeProvider):
    """Machines that only a stranger's executor reaches."""

    @staticmethod
    def _seen(node: Node) -> Node:
        return evolve(node, access=CustomAccess("burrow", {"hole": node.id, "deep": [1, 2]}))

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        return self._seen(await super().acquire(offer, launch))

    async def inspect(self, node: Node) -> Node:
        return self._seen(await super().inspect(node))


class Digger:
    """Runs jobs that do not end by themselves."""

    def __init__(self) -> None:
        self.running: set[str] = set()

    async def start(self, node: Node, execution: Execution) -> None:
        assert isinstance(node.access, CustomAccess)
        self.running.add(node.access.data["hole"])

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        return ExecutionStatus(ExecutionState.RUNNING if node.id in self.running else ExecutionState.LOST)

    async def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        yield b""

    async def cancel(self, node: Node, execution: Execution) -> None:
        self.running.discard(node.id)

    async def aclose(self) -> None: ...


def client(folder: Path) -> AsyncClient:
    providers: Any = {FAKE_SPEC: Burrows(folder / "cloud")}
    return AsyncClient(state=folder / "state", cache=folder / "cache", providers=providers)


def test_a_job_whose_executor_nobody_has_is_refused_at_once(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    async def story() -> Run:
        async with client(tmp_path) as lepton, asyncio.timeout(20):
            return await lepton.run(Job("true", resources="H100:8"))

    run = run_async(story())
    assert run.state is RunState.FAILED
    assert "no installed executor reaches nodes by 'burrow'" in (run.error or "")
    assert not Burrows(tmp_path / "cloud").running()


def test_a_node_whose_executor_is_gone_is_shown_and_given_back(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    """Its access comes back from the journal unread; the job on it is left alone until somebody stops it."""

    async def begin() -> None:
        async with client(tmp_path) as lepton:
            lepton._engine._executors["burrow"] = Digger()
            work = asyncio.create_task(lepton.run(Job("true", name="deep", resources="H100:8"), on_cancel="leave"))
            async with asyncio.timeout(20):
                while not any(run.state is RunState.RUNNING for run in await lepton.runs()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def end() -> tuple[Any, Run]:
        async with client(tmp_path) as lepton, asyncio.timeout(60):
            (line,) = await lepton.nodes()
            (record,) = (await lepton.get("deep")).nodes
            assert record.node is not None
            assert record.node.access == CustomAccess("burrow", {"hole": record.node.id, "deep": [1, 2]})
            return line, await lepton.stop("deep")

    run_async(begin())
    line, run = run_async(end())
    assert (line.difference, line.action) == ("held", "the executor for burrow is not installed: nobody here can ask for its job")
    assert line.cost is not None
    assert run.state in (RunState.STOPPED, RunState.LOST)
    assert not Burrows(tmp_path / "cloud").running()
