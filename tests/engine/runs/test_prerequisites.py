"""What was made once for an attempt is given back when its last node is, and holds no run up for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from members import engine_over, stand

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.order import launch_of
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.runs.prerequisites import clear
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import Unavailable
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


class Networks(FakeProvider):
    """Has one network of the attempt; it goes when it is told to, as far as it answers at all."""

    there, answers, goes = True, True, True

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        if not self.answers:
            raise Unavailable("it is down", provider="fake")
        if self.there and token == "group-1":
            yield Node("fake", "n-1", token, owner, kind="network", state="ready")

    async def release(self, node: Node) -> Node:
        assert node.kind == "network"
        self.there = self.there and not self.goes
        return node.with_state(NodeState.GONE if self.goes else NodeState.RELEASING)


def shared(engine: Engine) -> Member:
    node = stand(engine, Stage.INTENDED)
    asyncio.run(launch_of(node, {}).announce("network", "n-1", shared=True))
    run = engine.journal.run(node.run.id)
    return Member(engine, run, run.prerequisites[0], engine.throttle)


def stage_after(member: Member) -> Stage:
    run = asyncio.run(clear(member))
    return next(node.stage for node in run.nodes if node.token == "group-1")


def test_what_is_gone_is_closed(tmp_path: Path) -> None:
    cloud = Networks(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        assert stage_after(shared(engine)) is Stage.RELEASED
        assert not cloud.there


def test_what_may_not_be_listed_yet_is_not_believed_to_be_gone(tmp_path: Path) -> None:
    slow = evolve(FAKE_SPEC, timings=evolve(FAKE_SPEC.timings, listing_lag=30))
    cloud = Networks(tmp_path)
    cloud.there = False
    with engine_over(tmp_path, cloud, slow) as engine:
        member = shared(engine)
        assert stage_after(member) is Stage.INTENDED
        engine.clock.time += timedelta(seconds=31)  # type: ignore[attr-defined]
        # One listing may be cut short.
        assert stage_after(member.again()) is Stage.INTENDED
        assert stage_after(member.again()) is Stage.RELEASED


def test_in_another_account_nothing_is_gone(tmp_path: Path) -> None:
    cloud = Networks(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        member = shared(engine)
        engine.journal.settle("fake", "the account of the network")
        cloud.there = False
        for _ in range(3):
            assert stage_after(member.again()) is Stage.INTENDED


@pytest.mark.parametrize("trouble", ["silent", "slow"])
def test_a_run_waits_for_it_no_longer_than_a_moment(trouble: str, tmp_path: Path) -> None:
    cloud = Networks(tmp_path)
    cloud.answers, cloud.goes = trouble != "silent", trouble != "slow"
    with engine_over(tmp_path, cloud) as engine:
        member = shared(engine)
        assert stage_after(member) is Stage.INTENDED
        engine.clock.time += timedelta(seconds=engine.timing.prerequisites + 1)  # type: ignore[attr-defined]
        assert stage_after(member.again()) is Stage.UNRESOLVED
        # It is still open, and a sweep goes on with it.
        (left,) = (node for node in member.again().run.nodes if node.rank < 0)
        assert (left.open, left.awaited) == (True, False)
