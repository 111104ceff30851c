"""A line for each billable thing: what the journal holds, what doubles it, and what was given up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from members import engine_over, stand

from lepton_sdk._engine.inventory.report import Difference, Report, child_line, given_up_lines, held, node_line
from lepton_sdk.domain.events import NodeDuplicate, NodeGivenUp, NodeReleased, NodeReleasing, NodeUnknown, NodeUnresolved
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.stage import Stage

HOUR = timedelta(hours=1)


def test_what_is_held_is_told_with_what_it_has_cost(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        engine.clock.time += HOUR  # type: ignore[attr-defined]
        (line,) = held(engine)
        assert (line.id, line.run, line.state, line.cost, line.difference) == (
            member.node.id,
            member.run.id,
            "owned",
            Money("24"),
            Difference.HELD,
        )
        assert line.to_dict()["cost_so_far"] == "24.0000"


def test_a_machine_that_nobody_has_seen_is_called_by_its_token(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.INTENDED)
        engine.append(member.run.id, NodeUnknown("lost").about(member.token), NodeUnresolved("late").about(member.token))
        engine.clock.time += HOUR  # type: ignore[attr-defined]
        (line,) = held(engine)
        assert (line.id, line.difference) == (member.token, Difference.UNRESOLVED)
        assert (line.cost, line.cost_most) == (Money("0"), Money("24"))


def test_a_duplicate_has_a_line_of_its_own_until_it_is_gone(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        twin = Node("fake", "twin", member.token, price=Money("24"), since=engine.clock.now())
        engine.append(member.run.id, NodeDuplicate(twin).about(member.token))
        assert {line.id: line.difference for line in held(engine)} == {
            member.node.id: Difference.HELD,
            "twin": Difference.DUPLICATE,
        }
        engine.append(member.run.id, NodeReleasing().about(member.token), NodeReleased().about(member.token))
        assert [line.id for line in held(engine)] == ["twin"]
        engine.append(member.run.id, NodeDuplicate(twin, gone=True).about(member.token))
        assert held(engine) == []


@pytest.mark.parametrize(("days", "told"), [(29, 1), (31, 0)])
def test_what_was_given_up_is_told_for_a_month(days: int, told: int, tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        engine.append(member.run.id, NodeGivenUp("the account is closed").about(member.token))
        lines = given_up_lines(engine, engine.clock.now() + timedelta(days=days))
        assert [line.difference for line in lines] == [Difference.GIVEN_UP] * told
        assert all("nothing here ends its bill" in line.action for line in lines)


def test_what_a_listing_shows_beside_the_rows_costs_from_when_it_began(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        since, now = engine.clock.now(), engine.clock.now() + 2 * HOUR
        stray = node_line(Node("fake", "x", price=Money("3"), since=since), now, Difference.STRAY, "shown")
        assert (stray.run, stray.cost, stray.cost_most) == (None, Money("6"), Money("6"))
        assert node_line(Node("fake", "x", price=Money("3")), now, Difference.STRAY, "").cost is None
        disk = child_line(Node("fake", "d", kind="disk", state="ready", price=Money("1")), member.record, now)
        assert (disk.state, disk.run, disk.cost) == ("disk ready", member.run.id, None)


def test_the_report_as_json_names_whom_nobody_could_ask(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        stand(engine)
        told: Any = Report(tuple(held(engine)), (("acme", "it is down"),)).to_dict()
        assert told["unasked"] == [{"provider": "acme", "message": "it is down"}]
        (line,) = told["nodes"]
        assert line["difference"] == "held"
