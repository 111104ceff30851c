"""The table of steps: nothing else is legal, whoever writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from writing import NOW, intend, owned, plan

from lepton_sdk.domain.events import (
    AnyEvent,
    NodeAdmitted,
    NodeAnnounced,
    NodeArmed,
    NodeDuplicate,
    NodeHung,
    NodeQueued,
    NodeRepeated,
    NodeRestarted,
    NodeUnkept,
    StopRequested,
    event_of,
)
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.run import Run, RunState
from lepton_sdk.domain.stage import STAGES, Stage
from lepton_sdk.errors import ContractViolation
from lepton_sdk.testing import fake_offer

_STAGES = st.lists(st.sampled_from(list(Stage)), max_size=8)


def _event(stage: Stage) -> AnyEvent:
    offer, node = fake_offer(seen_at=NOW).to_dict(), Node("fake", "m", "t").to_dict()
    data: dict[Stage, dict[str, object]] = {
        Stage.INTENDED: {"attempt": 1, "rank": 0, "epoch": 1, "offer": offer, "increment": 1},
        Stage.OWNED: {"node": node},
        Stage.REACHABLE: {"node": node},
        Stage.RUNNING: {"epoch": 1},
    }
    return event_of(f"node.{stage}", "r", NOW, "t", data.get(stage))


@given(_STAGES)
def test_only_steps_of_the_table_are_legal(stages: list[Stage]) -> None:
    run: Run = apply(apply(None, plan("r")), intend("r", "t"))
    at = Stage.INTENDED
    for stage in stages:
        if stage in STAGES[at]:
            run, at = apply(run, _event(stage)), stage
        else:
            with pytest.raises(ContractViolation):
                apply(run, _event(stage))
    assert run.current is not None
    assert run.current.stage is at
    assert Run.from_record(run.to_record()) == run


def test_a_step_that_was_decided_on_an_older_look_is_refused() -> None:
    """Both may be closed, so the table alone lets one client close what another has found meanwhile and is giving back."""
    run = apply(apply(apply(None, plan("r")), intend("r", "t")), _event(Stage.UNKNOWN))
    closing = event_of("node.released", "r", NOW, "t", {"seen": str(Stage.UNKNOWN)})
    assert apply(run, closing).nodes[0].stage is Stage.RELEASED
    overtaken = apply(run, _event(Stage.RELEASING))
    with pytest.raises(ContractViolation, match="was unknown when released was decided, and is releasing"):
        apply(overtaken, closing)


def test_no_node_is_asked_for_in_an_attempt_that_is_over() -> None:
    """Of such a node nobody would know: what a run waits for are the nodes of its newest attempt."""
    first = apply(apply(apply(None, plan("r")), intend("r", "t")), event_of("node.released", "r", NOW, "t"))
    again = intend("r", "u")
    with pytest.raises(ContractViolation, match="rank 0 of run r has had its attempt 1"):
        apply(first, again)
    second = apply(apply(first, evolve(again, attempt=2)), event_of("node.released", "r", NOW, "u"))
    late = intend("r", "v")
    with pytest.raises(ContractViolation, match="rank 1 of run r has had its attempt 1"):
        apply(second, evolve(late, rank=1))


_ATTEMPT = ("number", "provider", "instance_type", "error", "message", "blocked", "next")


@pytest.mark.parametrize("kind", ["attempt.failed", "node.announced", "node.armed", "run.stop"])
def test_of_an_ended_run_nothing_goes_on_but_what_may_still_turn_up(kind: str) -> None:
    run = apply(apply(apply(None, plan("r")), intend("r", "t")), _event(Stage.UNRESOLVED))
    ended = apply(run, event_of("run.finished", "r", NOW, None, {"state": str(RunState.REFUSED)}))
    with pytest.raises(ContractViolation, match="it has ended"):
        apply(ended, event_of(kind, "r", NOW, "t", {"kind": "disk", "name": "d"} | dict.fromkeys(_ATTEMPT, "")))
    assert apply(ended, _event(Stage.RELEASED)).nodes[0].stage is Stage.RELEASED


def test_a_run_does_not_end_while_a_node_may_cost_something() -> None:
    run = apply(apply(None, plan("r")), intend("r", "t"))
    with pytest.raises(ContractViolation, match="cost"):
        apply(run, event_of("run.finished", "r", NOW, None, {"state": str(RunState.FAILED)}))


def _lost(*, stopped: bool) -> Run:
    run = apply(apply(None, plan("r")), intend("r", "t"))
    for stage in (Stage.OWNED, Stage.REACHABLE, Stage.RUNNING):
        run = apply(run, _event(stage))
    return apply(run, event_of("node.lost", "r", NOW, "t", {"stopped": stopped}))


def test_a_node_is_left_only_when_its_job_has_stopped_and_it_is_being_given_back() -> None:
    left = event_of("node.left", "r", NOW, "t")
    for run in (_lost(stopped=True), apply(_lost(stopped=False), _event(Stage.RELEASING))):
        with pytest.raises(ContractViolation, match="may run on"):
            apply(run, left)
        with pytest.raises(ContractViolation, match="not given back"):
            apply(run, intend("r", "t2", attempt=2))
    run = apply(apply(_lost(stopped=True), _event(Stage.RELEASING)), left)
    assert run.nodes[0].open
    assert not run.nodes[0].awaited
    assert Run.from_record(run.to_record()) == run
    assert apply(run, intend("r", "t2", attempt=2)).nodes[1].awaited
    # It is closed by its provider's word, as any other is.
    assert not apply(run, _event(Stage.RELEASED)).nodes[0].open


def test_nothing_is_done_any_more_with_what_was_given_up() -> None:
    run = apply(owned(), event_of("node.given-up", "r", NOW, "t"))
    for kind in ("node.reachable", "node.lost", "node.releasing"):
        with pytest.raises(ContractViolation, match="was given up"):
            apply(run, event_of(kind, "r", NOW, "t", {"node": Node("fake", "m", "t").to_dict()}))
    with pytest.raises(ContractViolation, match="nothing that could be given up"):
        apply(run, event_of("node.given-up", "r", NOW, "t"))
    ended = apply(run, event_of("run.finished", "r", NOW, None, {"state": "stopped"}))
    assert ended.state is RunState.STOPPED


def test_a_released_row_cannot_be_given_up() -> None:
    run = apply(apply(owned(), event_of("node.releasing", "r", NOW, "t")), event_of("node.released", "r", NOW, "t"))
    with pytest.raises(ContractViolation):
        apply(run, event_of("node.given-up", "r", NOW, "t"))


def _at(stage: Stage) -> Run:
    path = {
        Stage.INTENDED: (),
        Stage.OWNED: (Stage.OWNED,),
        Stage.RUNNING: (Stage.OWNED, Stage.REACHABLE, Stage.RUNNING),
    }[stage]
    run = apply(apply(None, plan("r")), intend("r", "t"))
    for step in path:
        run = apply(run, _event(step))
    return run


def test_what_is_queued_keeps_its_first_time_and_its_newest_reason() -> None:
    run = apply(_at(Stage.OWNED), NodeQueued("no quota").about("t").stamped("r", NOW))
    run = apply(run, NodeQueued("third in line").about("t").stamped("r", NOW + timedelta(hours=1)))
    (record,) = run.nodes
    assert (record.queued, record.queued_at, record.admitted_at) == ("third in line", NOW, None)
    (record,) = apply(run, NodeAdmitted().about("t").stamped("r", NOW + timedelta(hours=2))).nodes
    assert (record.queued, record.queued_at, record.admitted_at) == ("", NOW, NOW + timedelta(hours=2))


def test_a_note_about_a_node_moves_it_nowhere() -> None:
    run = _at(Stage.OWNED)
    notes: list[AnyEvent] = [
        NodeAnnounced("disk", "d-1"),
        NodeAnnounced("network", "n-1"),
        NodeRepeated(),
        NodeArmed(),
        NodeRestarted((1, 2)),
        NodeUnkept(("a file is too large",)),
        NodeHung("acme"),
    ]
    after = run
    for note in notes:
        after = apply(after, note.about("t").stamped("r", NOW))
    assert after.state is run.state
    (before,), (record,) = run.nodes, after.nodes
    told: dict[str, Any] = {
        "announced": ("disk d-1", "network n-1"),
        "repeated_at": NOW,
        "armed_at": NOW,
        "failures": (1, 2),
        "unkept": ("a file is too large",),
        "hung": "acme",
    }
    assert record == evolve(before, **told)


def test_a_machine_is_not_its_own_duplicate_and_a_duplicate_is_not_adopted() -> None:
    run = _at(Stage.OWNED)
    with pytest.raises(ContractViolation, match="doubles nothing"):
        apply(run, NodeDuplicate(Node("fake", "m", "t")).about("t").stamped("r", NOW))
    with pytest.raises(ContractViolation, match="that another machine could double"):
        apply(run, NodeDuplicate(Node("fake", "m2", "x")).about("x").stamped("r", NOW))
    unknown = apply(_at(Stage.INTENDED), _event(Stage.UNKNOWN))
    unknown = apply(unknown, NodeDuplicate(Node("fake", "m", "t")).about("t").stamped("r", NOW))
    with pytest.raises(ContractViolation, match="doubles another machine"):
        apply(unknown, _event(Stage.OWNED))


def test_an_owned_machine_that_names_nothing_of_ours_is_sought_by_its_token() -> None:
    (record,) = apply(_at(Stage.OWNED), _event(Stage.UNKNOWN)).nodes
    assert (record.node, record.unknown_at) == (None, None)


def test_a_stop_is_remembered_and_a_second_one_may_only_hurry_it() -> None:
    run = apply(_at(Stage.RUNNING), StopRequested(now=True).stamped("r", NOW))
    again = apply(run, StopRequested().stamped("r", NOW))
    assert (again.stop_requested, again.stop_now) == (True, True)
    assert apply(run, _event(Stage.RELEASING)).state is RunState.STOPPING


def test_a_run_is_planned_once_and_first() -> None:
    with pytest.raises(ContractViolation, match="was planned before"):
        apply(apply(None, plan("r")), plan("r"))
    with pytest.raises(ContractViolation, match="has no plan"):
        apply(None, intend("r", "t"))


def test_a_run_with_one_node_that_boots_is_starting_whatever_the_others_do() -> None:
    run = _at(Stage.RUNNING)
    assert run.state is RunState.RUNNING
    peer = evolve(intend("r", "u"), rank=1)
    assert apply(apply(apply(None, plan("r")), intend("r", "t")), peer).state is RunState.STARTING
