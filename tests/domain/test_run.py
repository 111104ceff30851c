"""A run as its entries add up to it: which nodes are the newest attempt's, and what all of them cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from writing import NOW, owned

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import PREREQUISITE, Attempt, NodeRecord
from lepton_sdk.domain.retry import Cause
from lepton_sdk.domain.run import Run, RunState
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import JobCancelled, JobFailed, JobTimedOut, LeptonError, NodeLost, NoOffers

HOUR = timedelta(hours=1)


def node(rank: int = 0, attempt: int = 1, **changes: Any) -> NodeRecord:
    (record,) = owned().nodes
    return evolve(record, token=f"t{attempt}{rank}", rank=rank, attempt=attempt, **changes)


def run(*nodes: NodeRecord, **changes: Any) -> Run:
    return evolve(owned(), nodes=nodes, **changes)


def test_the_members_are_the_newest_attempts_by_rank() -> None:
    last = (node(1, 2), node(0, 2))
    two = run(node(0), *last, node(PREREQUISITE, 2))
    assert two.attempts == 2
    assert two.members == (last[1], last[0])
    assert two.current is last[1]
    assert [one.rank for one in two.prerequisites] == [PREREQUISITE]
    assert (run().attempts, run().current, run().provider) == (0, None, None)


def test_prerequisites_that_are_gone_hold_nothing_up() -> None:
    assert run(node(), node(PREREQUISITE, stage=Stage.RELEASED)).prerequisites == ()


def test_the_cost_is_that_of_every_node_of_every_attempt() -> None:
    both = run(node(stage=Stage.RELEASED, released_at=NOW + HOUR), node(attempt=2))
    assert both.cost(NOW + 2 * HOUR) == Money("72")
    # Where one price is not known, nobody knows the sum.
    silent = evolve(both.nodes[1].offer, price=None)
    unknown = node(attempt=2, offer=silent, node=Node("fake", "m", "t", since=NOW))
    assert run(both.nodes[0], unknown).cost(NOW + HOUR) is None
    assert run().cost(NOW) is None


def test_failures_are_told_by_their_cause() -> None:
    lost = Attempt(1, "fake", "h100x8", "NodeLost", "", "", "", cause="interruption")
    failed = evolve(lost, number=2, cause="error")
    both = run(history=(lost, failed))
    assert both.failures(Cause.ERROR) == (failed,)
    assert both.failures(Cause.ERROR, Cause.INTERRUPTION) == (lost, failed)


def test_the_final_states_are_final() -> None:
    assert {state for state in RunState if state.ended} == {
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.STOPPED,
        RunState.TIMED_OUT,
        RunState.LOST,
        RunState.REFUSED,
    }


@pytest.mark.parametrize("now", [NOW, NOW + HOUR])
def test_what_people_see_names_the_nodes_of_the_newest_attempt(now: Any) -> None:
    shown: Any = run(node(0), node(0, 2), node(1, 2)).to_dict(now)
    assert [one["rank"] for one in shown["nodes"]] == [0, 1]
    assert (shown["attempts"], shown["provider"], shown["currency"]) == (2, "fake", "USD")
    assert Run.from_record(run(node(), node(attempt=2)).to_record()) == run(node(), node(attempt=2))


@pytest.mark.parametrize(
    ("state", "error", "status"),
    [
        (RunState.FAILED, JobFailed, 1),
        (RunState.TIMED_OUT, JobTimedOut, 124),
        (RunState.STOPPED, JobCancelled, 130),
        (RunState.LOST, NodeLost, 69),
        (RunState.REFUSED, NoOffers, 69),
    ],
)
def test_how_a_run_ended_as_an_error_and_as_an_exit_code(state: RunState, error: type[LeptonError], status: int) -> None:
    ended = run(state=state, error="why")
    with pytest.raises(error, match=f"run {ended.id} {state}: why"):
        ended.raise_for_state()
    assert ended.exit_status == status
    assert evolve(ended, exit_code=7).exit_status == 7


@pytest.mark.parametrize(("state", "status"), [(RunState.SUCCEEDED, 0), (RunState.RUNNING, 130)])
def test_a_run_that_succeeded_or_is_open_raises_nothing(state: RunState, status: int) -> None:
    one = run(state=state)
    one.raise_for_state()
    assert one.exit_status == status
