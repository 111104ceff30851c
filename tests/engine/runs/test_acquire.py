"""Taking the machines of an attempt: their rows are one transaction, and the first refusal ends the asking."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import evolve
from members import engine_over, planned

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.runs.acquire import acquire
from lepton_sdk._engine.timing import USUAL
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import BudgetExceeded, NoCapacity
from lepton_sdk.testing import FakeProvider, fake_offer


def taken(engine: Engine, run: Run) -> Run:
    engine.journal.claim(run.id, engine.holder, 100_000, lambda _: True)
    offer = fake_offer(seen_at=engine.clock.now())
    return asyncio.run(acquire(engine, run, offer, 1, {}, engine.throttle))


def test_every_node_is_a_row_before_the_first_call_leaves(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        run = taken(engine, planned(engine, nodes=3))
        kinds = [event.kind for event in engine.journal.events(run.id)]
        assert kinds[:4] == ["run.planned", *["node.intended"] * 3]
        assert [node.stage for node in run.members] == [Stage.REACHABLE] * 3
        # One group, one owner, a token each.
        assert len({node.token for node in run.members}) == 3
        assert {(node.group, node.owner) for node in run.members} == {(run.members[0].group, engine.journal.owner)}


def test_an_attempt_fits_under_a_cap_whole_or_is_refused_whole(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path)
    with engine_over(tmp_path, cloud) as engine:
        engine.config = evolve(engine.config, caps=Caps(Money("71")))
        run = planned(engine, nodes=3)
        with pytest.raises(BudgetExceeded, match=r"\$72\.00 an hour"):
            taken(engine, run)
        assert engine.journal.run(run.id).nodes == ()
        assert cloud.calls.count("acquire") == 0


def test_with_the_first_refusal_no_further_call_is_made(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path, faults=[None, NoCapacity("none left")])
    with engine_over(tmp_path, cloud, timing=evolve(USUAL, creates_at_once=1)) as engine:
        run = taken(engine, planned(engine, nodes=4))
        assert cloud.calls.count("acquire") == 2
        assert [node.stage for node in run.members].count(Stage.RELEASED) == 3
        assert [attempt.error for attempt in run.history] == ["NoCapacity"]
        assert [node.reason for node in run.members].count("peer") == 2


def test_an_offer_of_which_nothing_can_be_asked_is_refused_before_any_row(tmp_path: Path) -> None:
    with engine_over(tmp_path, FakeProvider(tmp_path, account="first")) as engine:
        taken(engine, planned(engine))
    with engine_over(tmp_path, FakeProvider(tmp_path, account="second")) as engine:
        (run,) = engine.journal.runs()
        before = len(run.nodes)
        run = taken(engine, run)
        assert len(run.nodes) == before
        assert run.history[-1].error == "AuthError"
