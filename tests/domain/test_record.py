"""What a node has cost so far, at least and at most."""

from __future__ import annotations

from datetime import timedelta

from writing import NOW, owned

from lepton_sdk.domain.events import event_of
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.run import Run


def test_what_it_may_cost_ends_with_the_limits_on_the_machine() -> None:
    run = apply(owned(lasts=7200), event_of("node.given-up", "r", NOW + timedelta(hours=1), "t"))
    (record,) = run.nodes
    later = NOW + timedelta(days=3)
    assert record.cost(later) == Money("24")
    assert record.cost_most(later) == Money("48")
    assert record.cost_least(later) == Money("0")
    assert Run.from_record(run.to_record()) == run
