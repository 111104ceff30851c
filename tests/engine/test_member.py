"""One node of one run: what it is called, how it is reached, and steps that are refused when they were decided too early."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from members import engine_over, stand

from lepton_sdk.domain.access import CustomAccess
from lepton_sdk.domain.events import NodeDuplicate, NodeHung, NodeLost, NodeOwned, NodeReleasing
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import ContractViolation, NodeUnreachable
from lepton_sdk.errors import NodeLost as Lost


def test_a_node_without_access_is_lost_and_not_silent(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.INTENDED)
        assert member.title == "fake token-1-0"
        with pytest.raises(Lost, match="token-1-0 has no way to be reached"):
            _ = member.access


def test_the_plugin_that_blocked_is_not_asked_again(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        assert member.executor is not None
        member = member.in_run(asyncio.run(member.write(NodeHung("acme"))))
        with pytest.raises(NodeUnreachable, match="acme blocked whoever asked it"):
            _ = member.executor


def test_an_executor_that_is_not_here_is_silence_and_no_end_of_the_job(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.INTENDED)
        moon = Node("fake", "m-1", member.token, access=CustomAccess("moon"))
        member = member.in_run(engine.append(member.run.id, NodeOwned(moon).about(member.token)))
        with pytest.raises(NodeUnreachable, match="the executor for moon cannot be used") as caught:
            _ = member.executor
        assert caught.value.hint


def test_a_step_that_was_decided_on_an_older_stage_is_refused(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        asyncio.run(member.step(NodeLost("somebody else was quicker")))
        # Legal from there as well, and decided on what is true no more.
        with pytest.raises(ContractViolation, match="was owned when releasing was decided, and is lost"):
            asyncio.run(member.step(NodeReleasing("too late")))
        assert member.again().record.stage is Stage.LOST
        # What it knew when it was made does not change under whoever has it.
        assert member.record.stage is Stage.OWNED


def test_what_is_written_is_about_this_node_unless_it_says_otherwise(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        first, second = stand(engine, nodes=2), stand(engine, rank=1)
        twin = Node("fake", "m-9", second.token)
        run = asyncio.run(first.again().write(NodeDuplicate(twin).about(second.token), NodeHung("acme")))
        assert [(record.hung, len(record.duplicates)) for record in run.nodes] == [("acme", 0), ("", 1)]


def test_what_was_asked_of_one_node_was_not_asked_of_another(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        first, second = stand(engine, nodes=2), stand(engine, rank=1)
        assert [first.due("poll"), first.due("poll"), second.due("poll"), first.again().due("poll")] == [True, False, True, False]
        first.forget("poll")
        assert first.elapsed("poll") is None
        assert first.due("poll")
