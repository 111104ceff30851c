"""What a run may still cost, and how long that lasts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from writing import NOW, plan

from lepton_sdk import Client, Job
from lepton_sdk._engine.launch.budget import bill_left, budget_seconds, is_spent, longest_bill, time_limit
from lepton_sdk.domain.events import NodeIntended
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import BudgetExceeded
from lepton_sdk.testing import FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_a_total_budget_becomes_a_time_limit(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    # At 24 an hour, 50 buys 7500 seconds of the machine; the node is told what is left of them when the job begins, less the six
    # minutes in which its output is fetched and the machine goes.
    run = make_client(cloud).run(make_job(limits={"total": "50"}))
    assert run.current is not None
    assert run.current.node is not None
    began, since = run.current.running_at, run.current.node.since
    assert began is not None
    assert since is not None
    billed = began - since
    assert time_limit(run, run.current) == pytest.approx(7500 - 360 - billed.total_seconds())


def _row(rank: int = 0, attempt: int = 1, **changes: Any) -> NodeRecord:
    row = NodeIntended(attempt, rank, 1, fake_offer(seen_at=NOW), 1.0).about(f"t{attempt}{rank}").stamped("r", NOW)
    (node,) = apply(apply(None, plan("r")), row).nodes
    return evolve(node, **changes)


def _run(*nodes: NodeRecord, **job: Any) -> Run:
    return Run("r", Job("true", **job), NOW, nodes=nodes)


def test_without_a_total_nothing_is_bought_and_without_limits_nothing_ends() -> None:
    run, row = _run(), _row()
    assert budget_seconds(run, row.offer) is None
    assert bill_left(run, row, NOW) is None
    assert time_limit(run, row) is None
    assert longest_bill(run, row.offer, 300, after=0, watched=True) is None
    assert not is_spent(run, row, NOW + timedelta(days=9))


def test_a_total_buys_time_of_all_nodes_together() -> None:
    limits = {"total": 48}
    assert budget_seconds(_run(limits=limits), fake_offer()) == 7200
    assert budget_seconds(_run(limits=limits, nodes=4), fake_offer()) == 1800
    assert budget_seconds(_run(limits=limits), fake_offer(), Money("48")) == 3600
    assert budget_seconds(_run(limits=limits), fake_offer(price=Money("0"))) is None


def test_an_attempt_buys_of_what_the_ones_before_it_have_left() -> None:
    node = Node("fake", "m", "t10", price=Money("24"), since=NOW)
    spent = _row(node=node, released_at=NOW + timedelta(hours=1), stage=Stage.RELEASED)
    again = _row(attempt=2)
    run = _run(spent, again, limits={"total": 48})
    assert budget_seconds(run, again.offer, earlier_than=2) == 3600
    assert budget_seconds(run, again.offer, earlier_than=1) == 7200


def test_the_shorter_limit_ends_the_job() -> None:
    assert time_limit(_run(limits={"duration": "1h", "total": 48}), _row()) == 3600
    # A tenth of what the total buys, six minutes at most, is left to fetching the output.
    assert time_limit(_run(limits={"duration": "9h", "total": 48}), _row()) == 7200 - 360
    assert time_limit(_run(limits={"total": "0.24"}), _row()) == pytest.approx(36 - 3.6)


def test_a_job_that_began_late_has_less_and_never_nothing() -> None:
    node = Node("fake", "m", "t10", price=Money("24"), since=NOW)
    late = _row(node=node, running_at=NOW + timedelta(hours=1))
    assert time_limit(_run(late, limits={"total": 48}), late) == 3600 - 360
    much_too_late = evolve(late, running_at=NOW + timedelta(hours=9))
    assert time_limit(_run(much_too_late, limits={"total": 48}), much_too_late) == 1.0


def test_what_is_queued_spends_nothing() -> None:
    run, queued = _run(limits={"total": 48}), _row(queued="no quota")
    assert bill_left(run, queued, NOW + timedelta(days=3)) is None
    assert not is_spent(run, queued, NOW + timedelta(days=3))
    assert is_spent(run, _row(), NOW + timedelta(hours=2))


def test_less_than_a_minute_of_a_machine_is_not_bought() -> None:
    with pytest.raises(BudgetExceeded, match="does not buy a minute of fake h100x8") as caught:
        longest_bill(_run(limits={"total": "0.39"}), fake_offer(), 300, after=0, watched=False)
    assert caught.value.hint == "raise the total"
    assert longest_bill(_run(limits={"total": "0.40"}), fake_offer(), 300, after=0, watched=False) == 60


def test_a_watchdog_counts_what_was_bought_from_its_own_first_sign_of_life() -> None:
    run = _run(limits={"total": 48})
    assert longest_bill(run, fake_offer(), 300, after=0, watched=False) == 7200
    assert longest_bill(run, fake_offer(), 300, after=0, watched=True) == 7500
    assert longest_bill(_run(limits={"duration": "1h"}), fake_offer(), 300, after=60, watched=True) == 300 + 3600 + 60 + 300
