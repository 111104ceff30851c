"""The bill: increments that were begun, exact, from when to when."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lepton_sdk.testing.doubles import Ledger


@pytest.mark.parametrize(
    ("seconds", "least", "amount"),
    [
        (0, 0, "0"),
        (0, 1, "0.02"),
        (1, 0, "0.02"),
        (60, 0, "0.02"),
        (60.5, 0, "0.04"),
        (3600, 0, "1.2"),
        (-50, 0, "0"),
        (-50, 1, "0.02"),
    ],
)
def test_each_increment_that_was_begun_counts(seconds: float, least: int, amount: str) -> None:
    ledger = Ledger(60, least)
    charge = ledger.begin("m", hourly="1.20", since=100.0)
    assert ledger.amount(charge, 100.0 + seconds) == Decimal(amount)
    ledger.end("m", 100.0 + seconds)
    assert ledger.total(1e9) == Decimal(amount)


def test_the_first_end_counts_and_an_unknown_one_is_fine() -> None:
    ledger = Ledger()
    ledger.begin("b", since=0.0, kind="disk")
    ledger.begin("a", since=0.0, hourly=3, name="first")
    assert ledger.open() == ["a", "b"]
    ledger.end("a", 60.0)
    ledger.end("a", 6000.0)
    ledger.end("nothing", 1.0)
    assert ledger.open() == ["b"]
    first = ledger.bill(7200.0)["rows"][1]
    assert first == {
        "id": "a",
        "name": "first",
        "kind": "machine",
        "hourly": "3",
        "since": 0.0,
        "until": 60.0,
        "amount": "0.0500",
    }


def test_what_costs_nothing_is_on_the_bill_all_the_same() -> None:
    ledger = Ledger()
    ledger.begin("disk", since=0.0, kind="disk")
    assert (ledger.open(), ledger.total(7200.0)) == (["disk"], Decimal(0))
