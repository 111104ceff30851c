"""The create call of a node, and the one call of a whole group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from members import engine_over, stand

from lepton_sdk import Client, Job, RunState
from lepton_sdk._clock import SystemClock
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.runs.create import create
from lepton_sdk.domain.events import NodeUnknown
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import NoCapacity, OutcomeUnknown, StaleEpoch
from lepton_sdk.spi import Launch, Offer, PowerOff, WatchdogWay
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

MakeJob = Callable[..., Job]


def lines(client: Client, run: str, **more: Any) -> list[str]:
    return b"".join(client.logs(run, **more)).decode().splitlines()


class Whole(FakeProvider):
    """Makes several machines by one call."""

    answer: str = ""

    async def acquire_group(self, offer: Offer, launches: Sequence[Launch]) -> Sequence[Node]:
        self.calls.append("acquire_group")
        if self.answer == "refuse":
            self.answer = ""
            raise NoCapacity("not so many", provider="fake")
        nodes = [self._make(offer, launch) for launch in launches]
        if self.answer == "lose":
            raise OutcomeUnknown("the answer was lost", provider="fake")
        return nodes[:-1] if self.answer == "short" else nodes


@pytest.mark.parametrize(("answer", "attempts"), [("", 1), ("refuse", 2), ("lose", 1), ("short", 1)])
def test_a_provider_may_make_all_by_one_call(answer: str, attempts: int, tmp_path: Path, make_job: MakeJob) -> None:
    cloud = Whole(tmp_path / "cloud", [fake_offer("small"), fake_offer("large")])
    cloud.answer = answer
    spec = evolve(FAKE_SPEC, capabilities=FAKE_SPEC.capabilities | {"multi_node"})
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={spec: cloud}) as client:
        run = client.run(make_job("echo $RANK", nodes=3))
        assert (run.state, run.attempts) == (RunState.SUCCEEDED, attempts)
        assert sorted(lines(client, run.id)) == ["[0] 0", "[1] 1", "[2] 2"]
    assert cloud.calls.count("acquire_group") == attempts
    assert cloud.calls.count("acquire") == 0
    assert cloud.running() == []


# --- by itself --------------------------------------------------------------------------------------------------------


def _claimed(engine: Engine, *members: Member) -> None:
    engine.journal.claim(members[0].run.id, engine.holder, 100_000, lambda _: True)


def test_no_call_leaves_under_the_claim_of_another_one(tmp_path: Path) -> None:
    """Between its row and the call the host may have slept for hours."""
    cloud = FakeProvider(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        member = stand(engine, Stage.INTENDED)
        engine.journal.claim(member.run.id, "another/boot/1/1/x", 60, lambda _: True)
        with pytest.raises(StaleEpoch, match="ran out before the create call left"):
            asyncio.run(create(member, {}))
    assert cloud.calls.count("acquire") == 0


def test_no_call_leaves_for_a_row_that_somebody_has_decided_on(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        member = stand(engine, Stage.INTENDED)
        _claimed(engine, member)
        engine.append(member.run.id, NodeUnknown("another follower looks for it").about(member.token))
        with pytest.raises(StaleEpoch):
            asyncio.run(create(member, {}))
    assert cloud.calls.count("acquire") == 0


def test_a_machine_that_is_ready_is_reachable_in_the_same_breath_unless_a_watchdog_must_live_first(tmp_path: Path) -> None:
    watched = evolve(FAKE_SPEC, power_off=PowerOff.ENDS, watchdog=WatchdogWay.STARTUP)
    for number, (spec, stage) in enumerate([(FAKE_SPEC, Stage.REACHABLE), (watched, Stage.OWNED)]):
        with engine_over(tmp_path / str(number), FakeProvider(tmp_path / f"cloud-{number}"), spec) as engine:
            member = stand(engine, Stage.INTENDED)
            _claimed(engine, member)
            (record,) = asyncio.run(create(member, {})).nodes
            assert record.stage is stage
            assert engine.creating == {}


def test_an_answer_that_names_another_token_is_no_answer(tmp_path: Path) -> None:
    class Mixed(FakeProvider):
        async def acquire(self, offer: Offer, launch: Launch) -> Node:
            return evolve(await super().acquire(offer, launch), token="another")

    with engine_over(tmp_path, Mixed(tmp_path)) as engine:
        member = stand(engine, Stage.INTENDED)
        _claimed(engine, member)
        (record,) = asyncio.run(create(member, {})).nodes
        assert (record.stage, record.node) == (Stage.UNKNOWN, None)
        assert "does not carry our token" in record.detail


def test_a_refusal_closes_the_row_and_is_told_in_the_same_transaction(tmp_path: Path) -> None:
    with engine_over(tmp_path, FakeProvider(tmp_path, faults=[NoCapacity("none left")])) as engine:
        member = stand(engine, Stage.INTENDED)
        _claimed(engine, member)
        run = asyncio.run(create(member, {}))
        assert [event.kind for event in engine.journal.events(run.id)][-2:] == ["attempt.failed", "node.released"]
        assert run.history[0].blocked == "offer fake h100x8 nowhere-1 on-demand"


def test_whoever_stops_waiting_for_a_call_that_has_left_still_gets_its_row(tmp_path: Path) -> None:
    class Slow(FakeProvider):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.left, self.answers = asyncio.Event(), asyncio.Event()

        async def acquire(self, offer: Offer, launch: Launch) -> Node:
            self.left.set()
            await self.answers.wait()
            return await super().acquire(offer, launch)

    async def story(member: Member, cloud: Slow) -> None:
        work = asyncio.create_task(create(member, {}))
        await cloud.left.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert work.cancelled()
        call = member.engine.creating[member.token]
        cloud.answers.set()
        await call
        assert member.again().record.stage is Stage.REACHABLE

    async def main() -> None:
        cloud = Slow(tmp_path)
        with engine_over(tmp_path, cloud, clock=SystemClock()) as engine:
            member = stand(engine, Stage.INTENDED)
            _claimed(engine, member)
            await story(member, cloud)

    asyncio.run(main())
