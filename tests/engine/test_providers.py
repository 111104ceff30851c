"""The questions to a provider: one bounded attempt each, and the answer is about what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from members import engine_over, stand
from odd import broken

from lepton_sdk._engine.providers import found, found_of, inspected, released_group
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.errors import ContractViolation, Unavailable
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


class Odd(FakeProvider):
    """Answers what a test gives it."""

    answer: Any = None
    listed: Sequence[Any] = ()
    breaks_off = False
    asked: Sequence[str] = ()

    async def inspect(self, node: Node) -> Node:
        answer: Node = self.answer
        return answer

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        self.asked = regions
        for one in self.listed:
            yield one
        if self.breaks_off:
            raise Unavailable("the connection broke", provider="fake")

    async def release_group(self, nodes: Sequence[Node]) -> Sequence[Node]:
        return tuple(node for node in self.listed if isinstance(node, Node))


def test_an_answer_about_another_node_is_no_answer(tmp_path: Path) -> None:
    cloud = Odd(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        node = stand(engine).node
        cloud.answer = node
        assert asyncio.run(inspected(engine, node)) == node
        for answer in (evolve(node, id="another"), None, "ready"):
            cloud.answer = answer
            with pytest.raises(ContractViolation):
                asyncio.run(inspected(engine, node))


def test_what_is_no_node_is_left_out_of_a_listing_and_told_in_one_line(tmp_path: Path) -> None:
    cloud = Odd(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        node = stand(engine).node
        cloud.listed = [None, node, "a machine", broken(node, "price", "3")]
        assert [one.id for one in asyncio.run(found(engine, "fake", "me"))] == [node.id] * 2
        (line,) = engine.notices
        assert "it is left out of what is listed; next: " in line


def test_a_listing_that_breaks_off_is_none_and_what_came_of_it_is_kept_for_who_asked(tmp_path: Path) -> None:
    cloud = Odd(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        node = stand(engine).node
        cloud.listed, cloud.breaks_off = [node], True
        seen: list[Node] = []
        with pytest.raises(Unavailable):
            asyncio.run(found(engine, "fake", "me", into=seen))
        assert seen == [node]


def test_a_token_is_asked_for_in_its_own_region_and_under_every_name_of_the_journal(tmp_path: Path) -> None:
    cloud = Odd(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        member = stand(engine)
        asyncio.run(found_of(engine, member.record))
        assert list(cloud.asked) == ["nowhere-1"]
        everywhere = evolve(member.record, offer=evolve(member.record.offer, region="*"))
        asyncio.run(found_of(engine, everywhere))
        assert list(cloud.asked) == []


def test_of_a_group_only_what_the_answer_names_is_gone(tmp_path: Path) -> None:
    cloud = Odd(tmp_path)
    spec = evolve(FAKE_SPEC, capabilities=FAKE_SPEC.capabilities | {"release_group"})
    with engine_over(tmp_path, cloud, spec) as engine:
        first, second = (stand(engine, rank=rank, nodes=2).node for rank in (0, 1))
        cloud.listed = [first.with_state(NodeState.GONE), evolve(second, id="nobody")]
        told = asyncio.run(released_group(engine, [first, second]))
        assert {node.id: node.state for node in told.values()} == {first.id: NodeState.GONE, second.id: NodeState.RELEASING}
