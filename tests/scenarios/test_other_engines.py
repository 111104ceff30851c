"""What engines other than clouds need of the contract: a queue, groups, jobs that the provider submits itself, keys, regions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve, fields

from lepton_sdk import AsyncClient, Job, NodeState, RunState
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import NoCapacity, OutcomeUnknown, Unavailable
from lepton_sdk.spi import Launch, Node, Offer, ProviderSpec, Timings
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

_SPEC = evolve(FAKE_SPEC, timings=evolve(FAKE_SPEC.timings, boot=1))


def client(folder: Path, cloud: FakeProvider, spec: ProviderSpec = _SPEC) -> AsyncClient:
    return AsyncClient(state=folder / "state", cache=folder / "cache", providers={spec: cloud})


class Queueing(FakeProvider):
    """A cluster whose queue has other people's jobs in it."""

    reason: str | None = "position 2 of 2 in the queue team-a"

    def _seen(self, node: Node) -> Node:
        if self.reason is None or node.state in (NodeState.RELEASING, NodeState.GONE):
            return node
        return evolve(node, state=NodeState.QUEUED, access=None, since=None, detail=self.reason)

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        return self._seen(await super().acquire(offer, launch))

    async def inspect(self, node: Node) -> Node:
        return self._seen(await super().inspect(node))


def test_a_queue_is_no_boot_costs_nothing_and_is_shown(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    cloud = Queueing(tmp_path / "cloud")

    async def story() -> Run:
        async with client(tmp_path, cloud) as lepton:
            work = asyncio.create_task(lepton.run(Job("true", resources="H100:8")))
            # Longer than any machine may boot.
            await asyncio.sleep(2.5)
            (waiting,) = await lepton.runs()
            (node,) = waiting.members
            assert (node.queued, waiting.state) == ("position 2 of 2 in the queue team-a", RunState.STARTING)
            now = lepton._engine.clock.now()
            assert str(waiting.cost(now)) == "0"
            shown: Any = waiting.to_dict(now)
            assert shown["nodes"][0]["queued"] == node.queued
            cloud.reason = None
            return await work

    run = run_async(story())
    assert run.state is RunState.SUCCEEDED
    (node,) = run.nodes
    assert node.admitted_at is not None
    assert node.boots_since == node.admitted_at
    assert not cloud.running()


def test_a_queue_is_waited_for_as_long_as_the_job_has_patience(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    cloud = Queueing(tmp_path / "cloud")

    async def story() -> Run:
        async with client(tmp_path, cloud) as lepton:
            return await lepton.run(Job("true", resources="H100:8", retry={"no_capacity": {"duration": 1}}))

    run = run_async(story())
    assert run.state is RunState.REFUSED
    assert "it was still queued" in (run.error or "")
    assert "team-a" in (run.error or "")
    assert not cloud.running()


def test_patience_ends_while_nobody_can_say_what_became_of_the_queue(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    class Silent(Queueing):
        asked = 0

        async def inspect(self, node: Node) -> Node:
            self.asked += 1
            if self.asked > 3:
                raise Unavailable("it is down", provider=node.provider)
            return await super().inspect(node)

    cloud = Silent(tmp_path / "cloud")

    async def story() -> Run:
        async with client(tmp_path, cloud) as lepton, asyncio.timeout(30):
            return await lepton.run(Job("true", resources="H100:8", retry={"no_capacity": {"duration": 1}}))

    run = run_async(story())
    assert run.state is RunState.REFUSED
    assert "it was still queued" in (run.error or "")
    assert not cloud.running()


class Grouped(FakeProvider):
    """Nodes of one attempt share a network, and go together."""

    def __init__(self, folder: Path, **more: Any) -> None:
        super().__init__(folder, **more)
        self.groups: list[Any] = []
        self.network: Node | None = None
        self.asked: list[list[str]] = []
        self.refuse_from = 99

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self.groups.append(launch.group)
        await launch.announce("network", f"net-{launch.group.id}", shared=True)
        self.network = Node(offer.provider, f"net-{launch.group.id}", launch.group.id, launch.owner, "network")
        if launch.rank >= self.refuse_from:
            raise NoCapacity("no more of them", provider=offer.provider)
        return await super().acquire(offer, launch)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        async for node in super().find(owner, token, regions=regions):
            yield node
        if self.network is not None and owner in ("*", self.network.owner) and token in (None, self.network.token):
            yield self.network

    async def release(self, node: Node) -> Node:
        if node.kind == "network":
            self.asked.append([node.id])
            self.network = None
            return node.with_state(NodeState.GONE)
        return await super().release(node)

    async def release_group(self, nodes: Sequence[Node]) -> Sequence[Node]:
        self.asked.append([node.id for node in nodes])
        return [await super(Grouped, self).release(node) for node in nodes]


_GROUPS = evolve(_SPEC, capabilities=_SPEC.capabilities | {"release_group"})


@pytest.mark.parametrize("refused", [False, True])
def test_a_group_goes_together_and_its_network_after_it(refused: bool, tmp_path: Path, run_async: Callable[..., Any]) -> None:
    cloud = Grouped(tmp_path / "cloud")
    cloud.refuse_from = 2 if refused else 99

    async def story() -> Run:
        async with client(tmp_path, cloud, _GROUPS) as lepton:
            return await lepton.run(Job("true", resources="H100:8", nodes=3))

    run = run_async(story())
    assert run.state is (RunState.REFUSED if refused else RunState.SUCCEEDED)
    assert {(group.rank, group.size) for group in cloud.groups} == {(rank, 3) for rank in range(3)}
    assert len({group.id for group in cloud.groups}) == 1
    assert cloud.network is None
    assert not cloud.running()
    # All of them by one call, and the network last.
    machines = [asked for asked in cloud.asked if not asked[0].startswith("net-")]
    assert {len(asked) for asked in machines} == {2 if refused else 3}
    assert cloud.asked[-1][0].startswith("net-")
    shared = [node for node in run.nodes if node.rank < 0]
    assert [node.announced for node in shared] == [(f"network net-{shared[0].token}",) * len(cloud.groups)]
    assert not any(node.open for node in run.nodes)


def test_what_was_made_for_an_attempt_is_swept_when_it_stays(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    """A run does not wait for it for long; a follower gives it back."""

    class Slow(Grouped):
        tries = 0

        async def release(self, node: Node) -> Node:
            if node.kind != "network":
                return await super().release(node)
            self.tries += 1
            return await super().release(node) if self.tries > 3 else node.with_state(NodeState.RELEASING)

    cloud = Slow(tmp_path / "cloud")

    async def story() -> None:
        async with client(tmp_path, cloud, _GROUPS) as lepton:
            lepton._engine.timing = evolve(lepton._engine.timing, prerequisites=0.0, sweep=0.05)
            run = await lepton.run(Job("true", resources="H100:8", nodes=2))
            assert run.state is RunState.SUCCEEDED
            assert [node.rank for node in run.nodes if node.open] == [-1]
            (line,) = await lepton.nodes()
            assert line.id == run.nodes[0].group
            async with asyncio.timeout(20):
                await lepton.follow(until_idle=True)
            assert not await lepton.nodes()

    run_async(story())
    assert cloud.network is None


class Submitting(FakeProvider):
    """A cluster to which the provider submits the job itself."""

    def __init__(self, folder: Path, **more: Any) -> None:
        super().__init__(folder, **more)
        self.submitted: list[Any] = []

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self.submitted.append(launch.execution)
        return await super().acquire(offer, launch)


def test_who_submits_the_job_is_told_what_runs_and_with_which_secrets(
    tmp_path: Path, run_async: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    cloud = Submitting(tmp_path / "cloud")
    spec = evolve(_SPEC, capabilities=_SPEC.capabilities | {"submits_job"})

    async def story() -> Run:
        async with client(tmp_path, cloud, spec) as lepton:
            return await lepton.run(Job("true", resources="H100:8", secrets=("KEY",)))

    assert run_async(story()).state is RunState.SUCCEEDED
    (execution,) = cloud.submitted
    assert (execution.job.command, execution.rank, dict(execution.secrets)) == ("true", 0, {"KEY": "s3cret"})
    assert "s3cret" not in repr(execution)


def test_a_submit_that_may_execute_late_is_settled_before_another_offer(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    """Its answer was lost. Another provider's machine would execute the same node beside it."""

    class Late(Submitting):
        async def acquire(self, offer: Offer, launch: Launch) -> Node:
            if not self.submitted:
                self.submitted.append(launch.execution)
                raise OutcomeUnknown("the answer was lost", provider=offer.provider)
            return await super().acquire(offer, launch)

    cloud = Late(tmp_path / "cloud")
    timings = Timings(listing_lag=0.2, create_horizon=1, boot=5, billing_increment=1, poll=0.05)
    spec = evolve(_SPEC, capabilities=_SPEC.capabilities | {"starts_alone"}, timings=timings)

    async def story() -> Run:
        async with client(tmp_path, cloud, spec) as lepton:
            return await lepton.run(Job("true", resources="H100:8", retry={"no_capacity": {"duration": 60, "backoff": 1}}))

    run = run_async(story())
    assert run.state is RunState.SUCCEEDED
    first, second = run.nodes
    assert not first.late
    assert first.released_at is not None
    assert (first.released_at - first.intended_at).total_seconds() >= 1.2
    assert second.intended_at >= first.released_at


class Keyed(FakeProvider):
    """A vendor that keeps the token of a create call as a key."""

    def __init__(self, folder: Path, **more: Any) -> None:
        super().__init__(folder, **more)
        self.requests: list[Launch] = []
        self.hidden = False

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self.requests.append(launch)
        node = await super().acquire(offer, launch)
        if len(self.requests) == 1:
            self.hidden = True
            raise OutcomeUnknown("the answer was lost", provider=offer.provider)
        self.hidden = False
        return node

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        async for node in super().find(owner, token, regions=regions):
            if not self.hidden:
                yield node


def _request(launch: Launch) -> tuple[object, ...]:
    """What the vendor sees of it."""
    return tuple(getattr(launch, one.name) for one in fields(Launch) if one.name not in ("announce", "leaving"))


def test_a_lost_answer_is_settled_by_the_same_call_where_the_vendor_keeps_a_key(
    tmp_path: Path, run_async: Callable[..., Any]
) -> None:
    cloud = Keyed(tmp_path / "cloud")
    timings = Timings(listing_lag=30, create_horizon=300, boot=5, billing_increment=1, poll=0.05, idempotency=600)
    spec = evolve(_SPEC, timings=timings)

    async def story() -> Run:
        async with client(tmp_path, cloud, spec) as lepton:
            return await lepton.run(Job("true", resources="H100:8", limits={"duration": 600}))

    run = run_async(story())
    assert run.state is RunState.SUCCEEDED
    first, second = (_request(one) for one in cloud.requests)
    assert first == second
    assert cloud.requests[0].deadline is not None
    assert len(cloud.machines()) == 1
    assert run.nodes[0].repeated_at is not None


def test_find_is_told_the_region_that_matters(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    class Regional(FakeProvider):
        asked: ClassVar[list[tuple[str | None, Sequence[str]]]] = []

        async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
            self.asked.append((token, regions))
            async for node in super().find(owner, token, regions=regions):
                yield node

    cloud = Regional(tmp_path / "cloud", faults=["lose-reply"])

    async def story() -> Run:
        async with client(tmp_path, cloud) as lepton:
            return await lepton.run(Job("true", resources="H100:8"))

    run = run_async(story())
    assert {tuple(regions) for token, regions in cloud.asked if token == run.nodes[0].token} == {("nowhere-1",)}


def test_a_create_call_that_waits_for_its_turn_is_taken_back_by_a_stop(tmp_path: Path, run_async: Callable[..., Any]) -> None:
    """It has not left, and core knows that: nothing is made, and nobody waits for the vendor's pace."""

    class Paced(FakeProvider):
        waits = asyncio.Event()

        async def acquire(self, offer: Offer, launch: Launch) -> Node:
            self.waits.set()
            await asyncio.sleep(60)
            launch.leaving()
            return await super().acquire(offer, launch)

    cloud = Paced(tmp_path / "cloud")
    spec = evolve(_SPEC, capabilities=_SPEC.capabilities | {"marks_leaving"})

    async def story() -> Run:
        async with client(tmp_path, cloud, spec) as lepton, asyncio.timeout(20):
            work = asyncio.create_task(lepton.run(Job("true", name="paced", resources="H100:8")))
            await cloud.waits.wait()
            await lepton.stop("paced")
            return await work

    run = run_async(story())
    assert run.state is RunState.STOPPED
    assert cloud.machines() == []
    assert not any(node.open for node in run.nodes)
