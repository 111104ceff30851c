"""Another machine of a row's token: written down before it is given back, and open until its provider says gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import evolve
from members import engine_over, stand

from lepton_sdk._engine.inventory.duplicates import settle_duplicates
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import Unavailable
from lepton_sdk.testing import FakeProvider


class Slow(FakeProvider):
    """Gives back when it is told to, as far as it answers at all."""

    goes, answers = True, True

    async def release(self, node: Node) -> Node:
        self.calls.append(f"release {node.id}")
        if not self.answers:
            raise Unavailable("it is down", provider="fake")
        return node.with_state(NodeState.GONE if self.goes else NodeState.RELEASING)


def test_a_twin_is_given_back_and_the_machine_itself_is_not(tmp_path: Path) -> None:
    cloud = Slow(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        member = stand(engine)
        twin = evolve(member.node, id="twin")
        assert asyncio.run(settle_duplicates(engine, member.record, [member.node, twin], engine.clock.now()))
        (double,) = member.again().record.duplicates
        assert (double.node.id, double.gone_at) == ("twin", engine.clock.now())
        assert cloud.calls.count("release twin") == 1
        assert f"release {member.node.id}" not in cloud.calls


@pytest.mark.parametrize("trouble", ["down", "slow"])
def test_it_is_a_row_before_it_is_given_back_and_is_asked_for_again(trouble: str, tmp_path: Path) -> None:
    cloud = Slow(tmp_path)
    cloud.answers, cloud.goes = trouble != "down", trouble != "slow"
    with engine_over(tmp_path, cloud) as engine:
        member = stand(engine)
        listed = [evolve(member.node, id="twin")]
        if trouble == "down":
            with pytest.raises(Unavailable):
                asyncio.run(settle_duplicates(engine, member.record, listed, engine.clock.now()))
        else:
            assert asyncio.run(settle_duplicates(engine, member.record, listed, engine.clock.now()))
        (double,) = member.again().record.duplicates
        assert double.gone_at is None
        # Also when no listing shows it any more: gone is the provider's word.
        cloud.answers = cloud.goes = True
        assert asyncio.run(settle_duplicates(engine, member.again().record, [], engine.clock.now()))
        assert member.again().record.duplicates[0].gone_at is not None
        assert not asyncio.run(settle_duplicates(engine, member.again().record, [], engine.clock.now()))


def test_what_contradicts_the_row_is_left_alone(tmp_path: Path) -> None:
    with engine_over(tmp_path, Slow(tmp_path)) as engine:
        member = stand(engine)
        others = [
            evolve(member.node, id="a", region="elsewhere"),
            evolve(member.node, id="b", token="another"),
            evolve(member.node, id="c", kind="disk"),
            evolve(member.node, id="d", state=NodeState.GONE),
        ]
        assert not asyncio.run(settle_duplicates(engine, member.record, others, engine.clock.now()))
        assert member.again().record.duplicates == ()


def test_as_long_as_none_was_adopted_none_is_a_duplicate(tmp_path: Path) -> None:
    with engine_over(tmp_path, Slow(tmp_path)) as engine:
        member = stand(engine, Stage.INTENDED)
        listed = [Node("fake", name, member.token) for name in ("a", "b")]
        assert not asyncio.run(settle_duplicates(engine, member.record, listed, engine.clock.now()))
