"""A create call whose outcome stays unknown: the run goes on elsewhere, and what turns up late is given back and counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from members import engine_over, stand

from lepton_sdk import AsyncClient, Client, Job, Run, RunState
from lepton_sdk._engine import timing
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.runs.recover import resolve
from lepton_sdk._engine.timing import USUAL
from lepton_sdk.domain.events import NodeUnknown, NodeUnresolved, StopRequested
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import OutcomeUnknown, StaleEpoch, Unavailable
from lepton_sdk.spi import LocalAccess
from lepton_sdk.spi.provider import Launch
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

_HORIZON = 8.0
_SPEC = evolve(FAKE_SPEC, timings=evolve(FAKE_SPEC.timings, listing_lag=0.1, create_horizon=_HORIZON))


class Slow(FakeProvider):
    """Its first create call is answered by nobody, and its machine is there once the test says so, or never."""

    hidden = True
    # So many listings are cut short.
    cuts = 0

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        node = await super().acquire(offer, launch)
        if len(self.machines()) > 1:
            return node
        raise OutcomeUnknown("the connection broke", provider=offer.provider)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        first = self.machines()[0].id if self.machines() else ""
        cut, self.cuts = self.cuts > 0, max(0, self.cuts - 1)
        async for node in super().find(owner, token):
            if not (self.hidden or cut) or node.id != first:
                yield node


@pytest.fixture
def cloud(tmp_path: Path) -> Slow:
    return Slow(tmp_path / "cloud", [fake_offer("a"), fake_offer("b"), fake_offer("c")])


@pytest.fixture
def client(tmp_path: Path, cloud: Slow) -> Iterator[Client]:
    environment = {
        "LEPTON_SDK_PLUGINS": "local",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "LEPTON_SDK_LIMITS_HOURLY": "60",
    }
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={_SPEC: cloud}, environment=environment) as made:
        yield made


def begin(client: Client) -> Run:
    run = client.run(Job("true", resources="H100:8"))
    assert run.state is RunState.SUCCEEDED
    assert [node.stage for node in run.nodes] == [Stage.UNRESOLVED, Stage.RELEASED]
    assert run.history[0].error == "OutcomeUnknown"
    return run


def test_the_run_goes_on_and_the_call_stays_open_with_its_price_reserved(client: Client, cloud: Slow) -> None:
    run = begin(client)
    (line,) = client.nodes()
    assert (str(line.difference), line.run) == ("unresolved", run.id)
    assert line.cost is not None
    assert line.cost_most is not None
    assert line.cost.amount == 0 < line.cost_most.amount
    assert any("has not been resolved" in notice for notice in client.warnings())
    # 24 an hour are reserved, so that of 60 one more machine can be paid and not two.
    assert client.run(Job("true", resources="H100:8", nodes=2)).state is RunState.REFUSED
    assert client.run(Job("true", resources="H100:8")).state is RunState.SUCCEEDED


def test_what_turns_up_late_is_a_duplicate_that_costs(client: Client, cloud: Slow) -> None:
    run = begin(client)
    cloud.hidden = False
    assert len(cloud.running()) == 1
    client.reconcile()
    assert cloud.running() == []
    ended = client.get(run.id)
    late = ended.nodes[0]
    assert (ended.state, late.stage) == (RunState.SUCCEEDED, Stage.RELEASED)
    assert late.released_at is not None
    cost = late.cost(late.released_at)
    assert cost is not None
    assert cost.amount > 0
    # Nothing was ever started on it.
    assert late.running_at is None
    assert client.nodes() == []


def test_one_listing_that_is_cut_short_closes_nothing(client: Client, cloud: Slow) -> None:
    """At the horizon what is not listed is closed for good."""
    run = begin(client)
    while (datetime.now(UTC) - run.nodes[0].intended_at).total_seconds() < _HORIZON + 1:
        time.sleep(0.1)
    cloud.hidden, cloud.cuts = False, 1
    client.reconcile()
    assert cloud.cuts == 0
    assert cloud.running() == []
    late = client.get(run.id).nodes[0]
    assert late.node is not None
    assert late.stage is Stage.RELEASED


def test_what_never_turns_up_is_closed_when_it_no_longer_can(client: Client, cloud: Slow) -> None:
    run = begin(client)
    client.reconcile()
    end = time.monotonic() + 60
    while client.nodes():
        assert time.monotonic() < end
        time.sleep(0.2)
        client.reconcile()
    late = client.get(run.id).nodes[0]
    assert late.released_at is not None
    assert (late.released_at - late.intended_at).total_seconds() >= _HORIZON
    cost = late.cost(late.released_at)
    assert cost is not None
    assert cost.amount == 0


def test_a_follower_stays_until_nothing_can_turn_up(client: Client, cloud: Slow) -> None:
    run = begin(client)
    cloud.hidden = False
    client.follow(until_idle=True)
    assert cloud.running() == []
    assert client.get(run.id).nodes[0].stage is Stage.RELEASED


class Doubling(FakeProvider):
    """Each create call makes three machines, and one of them can never be given back by a bug of the plugin."""

    def _make(self, offer: Offer, launch: Launch) -> Node:
        node = super()._make(offer, launch)
        record = self._read(node.id)
        assert record is not None
        for name in ("a-stuck", "b-double"):
            self._write(record | {"id": f"{name}-{launch.token}"})
        return node

    async def release(self, node: Node) -> Node:
        if node.id.startswith("a-stuck"):
            raise ZeroDivisionError("in a stranger's plugin")
        return await super().release(node)


def test_a_machine_that_cannot_be_given_back_holds_no_other_up(
    tmp_path: Path, run_async: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "USUAL", evolve(timing.USUAL, sweep=1.0))
    cloud = Doubling(tmp_path / "cloud")

    async def main() -> None:
        async with AsyncClient(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
            runs = [await client.run(Job("true", resources="H100:8")) for _ in range(2)]
            stuck = {f"a-stuck-{run.nodes[0].token}" for run in runs}
            # A follower looks where something is open.
            work = [asyncio.create_task(client.run(Job("sleep 300", resources="H100:8"))), asyncio.create_task(client.follow())]
            async with asyncio.timeout(60):
                while not stuck <= (there := {node.id for node in cloud.running()}) or any("b-double" in name for name in there):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                while not any("ZeroDivisionError" in line for line in await client.warnings()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            assert stuck <= {line.id for line in await client.nodes()}

    run_async(main())


MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_a_lost_reply_is_found_and_never_asked_for_twice(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = FakeProvider(tmp_path / "cloud", faults=["lose-reply"])
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.SUCCEEDED
    assert cloud.calls.count("acquire") == 1
    assert len(cloud.machines()) == 1
    assert cloud.running() == []


# --- by itself, one look at a time ------------------------------------------------------------------------------------

_LISTED, _CERTAIN, _KEY = 30, 300, 3600


class Keyed(FakeProvider):
    """Keeps tokens as keys, and shows what is put into its listing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.listed: list[Node] = []
        self.launches: list[Launch] = []
        self.down = False

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self.launches.append(launch)
        return await super().acquire(offer, launch)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        if self.down:
            raise Unavailable("it is down", provider="fake")
        for node in self.listed:
            yield node


def _unknown(folder: Path, cloud: Keyed, *, idempotency: float = 0.0, flags: Sequence[str] = ()) -> Any:
    timings = evolve(FAKE_SPEC.timings, listing_lag=_LISTED, create_horizon=_CERTAIN, idempotency=idempotency)
    spec = evolve(FAKE_SPEC, timings=timings, capabilities=FAKE_SPEC.capabilities | set(flags))
    return engine_over(folder, cloud, spec, timing=evolve(USUAL, create=60.0))


def _lost(engine: Engine, **job: Any) -> Member:
    member = stand(engine, Stage.INTENDED, **job)
    engine.called.add(member.token)
    member = member.in_run(engine.append(member.run.id, NodeUnknown("the answer was lost").about(member.token)))
    engine.journal.claim(member.run.id, engine.holder, 100_000, lambda _: True)
    return member


def _later(engine: Engine, seconds: float) -> None:
    engine.clock.time += timedelta(seconds=seconds)  # type: ignore[attr-defined]


def _stage(member: Member, secrets: Any = None) -> Stage:
    return asyncio.run(resolve(member.again(), secrets or {})).nodes[0].stage


def test_as_long_as_it_may_be_missing_from_a_listing_nothing_is_decided(tmp_path: Path) -> None:
    with _unknown(tmp_path, Keyed(tmp_path)) as engine:
        member = _lost(engine)
        assert _stage(member) is Stage.UNKNOWN
        _later(engine, _LISTED - 1)
        assert _stage(member) is Stage.UNKNOWN
        _later(engine, 2)
        assert _stage(member) is Stage.UNRESOLVED
        _later(engine, _CERTAIN)
        assert _stage(member) is Stage.RELEASED


def test_a_provider_that_cannot_be_asked_holds_a_run_up_for_a_while_and_not_longer(tmp_path: Path) -> None:
    cloud = Keyed(tmp_path)
    cloud.down = True
    with _unknown(tmp_path, cloud) as engine:
        member = _lost(engine)
        with pytest.raises(Unavailable):
            _stage(member)
        _later(engine, _LISTED + engine.timing.unasked + 1)
        assert _stage(member) is Stage.UNRESOLVED


def test_what_begins_by_itself_is_waited_for_until_it_can_no_longer_execute(tmp_path: Path) -> None:
    with _unknown(tmp_path, Keyed(tmp_path), flags=["starts_alone"]) as engine:
        member = _lost(engine)
        _later(engine, _LISTED + _CERTAIN - 1)
        assert _stage(member) is Stage.UNKNOWN
        _later(engine, 2)
        assert _stage(member) is Stage.RELEASED


def test_under_a_key_that_the_vendor_keeps_the_same_call_is_made_again(tmp_path: Path) -> None:
    cloud = Keyed(tmp_path)
    with _unknown(tmp_path, cloud, idempotency=_KEY) as engine:
        member = _lost(engine)
        _later(engine, 1)
        assert _stage(member) in (Stage.OWNED, Stage.REACHABLE)
        (launch,) = cloud.launches
        assert launch.token == member.token
        assert member.again().record.repeated_at is not None


@pytest.mark.parametrize("why", ["no key", "its life is nearly over", "a stop", "unresolved", "no claim", "a secret is gone"])
def test_it_is_not_made_again(why: str, tmp_path: Path) -> None:
    cloud = Keyed(tmp_path)
    flags = ["submits_job"] if why == "a secret is gone" else []
    with _unknown(tmp_path, cloud, idempotency=0 if why == "no key" else _KEY, flags=flags) as engine:
        member = _lost(engine, secrets=["TOKEN"])
        match why:
            case "its life is nearly over":
                _later(engine, _KEY - engine.timing.key_margin + 1)
            case "a stop":
                engine.append(member.run.id, StopRequested())
            case "unresolved":
                engine.append(member.run.id, NodeUnresolved("late").about(member.token))
            case "no claim":
                engine.journal.let_go(member.run.id, engine.holder, 1)
            case _:
                pass
        try:
            asyncio.run(resolve(member.again(), {} if why == "a secret is gone" else {"TOKEN": "t"}))
        except StaleEpoch:
            assert why == "no claim"
        assert cloud.launches == []


def test_of_several_machines_of_one_call_the_first_is_adopted_and_the_rest_given_back(tmp_path: Path) -> None:
    cloud = Keyed(tmp_path)
    with _unknown(tmp_path, cloud) as engine:
        member = _lost(engine)
        first, second = (
            Node("fake", name, member.token, engine.journal.owner, state="ready", access=LocalAccess(), since=engine.clock.now())
            for name in ("m-1", "m-2")
        )
        # One that contradicts the call is none of ours, whatever tags it carries.
        cloud.listed = [second, first, evolve(first, id="m-0", region="elsewhere")]
        run = asyncio.run(resolve(member, {}))
        (record,) = run.nodes
        assert record.node is not None
        assert record.node.id == "m-1"
        assert [one.node.id for one in record.duplicates] == ["m-2"]
