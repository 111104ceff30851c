"""Caps: what all runs together may cost in an hour, and until their limits end them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from writing import NOW, owned

from lepton_sdk.domain.caps import Caps, worst_cost
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import BudgetExceeded


def test_no_cap_holds_everything() -> None:
    assert not Caps()
    Caps().hold_hourly([None, Money("1000")])
    Caps().hold_total([owned()], NOW)


def test_all_machines_together_stay_at_the_cap_and_not_above() -> None:
    Caps(Money("48")).hold_hourly([Money("24"), Money("24")])
    with pytest.raises(BudgetExceeded, match=r"\$48\.01 an hour, above the cap of \$48\.00"):
        Caps(Money("48")).hold_hourly([Money("24"), Money("24.01")])
    with pytest.raises(BudgetExceeded, match="price nobody knows"):
        Caps(Money("48")).hold_hourly([Money("1"), None])


def test_what_limits_end_counts_until_then_and_what_nothing_ends_has_no_place_under_a_total() -> None:
    bounded, endless = owned(lasts=7200), owned()
    assert worst_cost(bounded.nodes[0], NOW) == Money("48")
    assert worst_cost(endless.nodes[0], NOW) is None
    Caps(total=Money("48")).hold_total([bounded], NOW)
    with pytest.raises(BudgetExceeded, match=r"the runs of the last 30d would cost \$96\.00"):
        Caps(total=Money("95")).hold_total([bounded, bounded], NOW)
    with pytest.raises(BudgetExceeded, match="has no bound") as caught:
        Caps(total=Money("95")).hold_total([endless], NOW)
    assert caught.value.hint == "give the job a duration or a total"


def test_what_was_given_back_counts_with_what_it_did_cost() -> None:
    (record,) = owned(lasts=7200).nodes
    gone = evolve(record, stage=Stage.RELEASED, released_at=NOW + timedelta(minutes=30))
    assert worst_cost(gone, NOW + timedelta(days=2)) == Money("12")


def test_a_machine_that_outlives_its_limits_counts_with_what_it_has_cost() -> None:
    (record,) = owned(lasts=3600).nodes
    assert worst_cost(record, NOW + timedelta(hours=5)) == Money("120")
