"""What a node has cost so far, at least and at most."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from writing import NOW, intend, owned, plan

from lepton_sdk.domain.events import (
    AnyEvent,
    NodeAdmitted,
    NodeDuplicate,
    NodeGivenUp,
    NodeLeft,
    NodeLost,
    NodeQueued,
    NodeReleased,
    NodeReleasing,
    NodeRepeated,
    NodeUnknown,
    NodeUnresolved,
    event_of,
)
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run

TWIN = Node("fake", "m2", "t")


def test_what_it_may_cost_ends_with_the_limits_on_the_machine() -> None:
    run = apply(owned(lasts=7200), event_of("node.given-up", "r", NOW + timedelta(hours=1), "t"))
    (record,) = run.nodes
    later = NOW + timedelta(days=3)
    assert record.cost(later) == Money("24")
    assert record.cost_most(later) == Money("48")
    assert record.cost_least(later) == Money("0")
    assert Run.from_record(run.to_record()) == run


def after(run: Run, *events: AnyEvent, hours: float = 0) -> NodeRecord:
    for event in events:
        run = apply(run, event.about("t").stamped("r", NOW + timedelta(hours=hours)))
    (record,) = run.nodes
    return record


def asked_for() -> Run:
    return apply(apply(None, plan("r")), intend("r", "t"))


@pytest.mark.parametrize(
    ("events", "held", "awaited", "open_"),
    [
        ((), True, True, True),
        ((NodeLost(),), True, True, True),
        ((NodeReleasing(), NodeReleased()), False, False, False),
        # Left behind when nobody could ask it: it may cost, and its run does not wait.
        ((NodeLost(stopped=True), NodeReleasing(), NodeLeft()), True, False, True),
        # Given up by hand: nobody will ever say that it is gone.
        ((NodeGivenUp("closed"),), False, False, False),
        # Another machine of its token is there, and it is gone itself.
        ((NodeReleasing(), NodeDuplicate(TWIN), NodeReleased()), False, False, True),
        ((NodeReleasing(), NodeDuplicate(TWIN), NodeReleased(), NodeDuplicate(TWIN, gone=True)), False, False, False),
    ],
)
def test_what_may_cost_something_and_whom_it_holds_up(
    events: tuple[AnyEvent, ...], held: bool, awaited: bool, open_: bool
) -> None:
    record = after(owned(), *events)
    assert (record.held, record.awaited, record.open) == (held, awaited, open_)
    assert NodeRecord.from_dict(record.to_dict()) == record


def test_what_is_unresolved_holds_nobody_up_and_may_cost_something() -> None:
    record = after(asked_for(), NodeUnknown("lost"), NodeUnresolved("late"))
    assert (record.held, record.awaited, record.late) == (True, False, True)
    # Nobody has seen a machine: at most it was there from the beginning.
    later = NOW + timedelta(hours=2)
    assert (record.cost(later), record.cost_least(later), record.cost_most(later)) == (Money("0"), Money("0"), Money("48"))


def test_what_is_queued_has_no_bill_yet_and_boots_only_once_it_was_admitted() -> None:
    record = after(owned(), NodeQueued("no quota"))
    later = NOW + timedelta(hours=3)
    assert record.cost(later) == Money("0")
    run = apply(owned(), NodeQueued("no quota").about("t").stamped("r", NOW))
    admitted = after(run, NodeAdmitted(), hours=2)
    assert admitted.boots_since == NOW + timedelta(hours=2)
    assert not admitted.queued


def test_a_create_call_counts_from_the_last_moment_at_which_it_can_have_left() -> None:
    """A host that was suspended inside the call sends it when it wakes up, and a second call is a call."""
    run = asked_for()
    assert after(run).called_at == NOW
    unknown = apply(run, NodeUnknown("lost").about("t").stamped("r", NOW + timedelta(hours=1)))
    assert after(unknown).called_at == NOW + timedelta(hours=1)
    assert after(unknown, NodeRepeated(), hours=2).called_at == NOW + timedelta(hours=2)


def test_a_machine_that_was_found_gone_cost_at_least_until_it_was_seen() -> None:
    seen = apply(owned(), NodeLost("gone", there=NOW + timedelta(hours=1)).about("t").stamped("r", NOW + timedelta(hours=5)))
    run = apply(seen, NodeReleasing().about("t").stamped("r", NOW + timedelta(hours=5)))
    record = after(run, NodeReleased(), hours=5)
    now = NOW + timedelta(days=9)
    assert (record.cost_least(now), record.cost(now), record.cost_most(now)) == (Money("24"), Money("120"), Money("120"))


def test_a_duplicate_is_on_the_bill_of_its_row_until_it_is_gone() -> None:
    twin = Node("fake", "m2", "t", price=Money("10"), since=NOW)
    run = apply(owned(), NodeDuplicate(twin).about("t").stamped("r", NOW))
    later = NOW + timedelta(hours=1)
    assert after(run).hourly == Money("48")
    assert after(run).cost(later) == Money("34")
    gone = after(run, NodeDuplicate(twin, gone=True), hours=1)
    assert gone.cost(later + timedelta(hours=1)) == Money("58")


def test_a_machine_whose_price_nobody_says_has_no_upper_bound_and_costs_nothing_for_certain() -> None:
    silent = evolve(owned().nodes[0], node=Node("fake", "m", "t", since=NOW))
    later = NOW + timedelta(hours=1)
    assert (silent.cost(later), silent.cost_least(later), silent.cost_most(later)) == (Money("24"), Money("0"), None)
