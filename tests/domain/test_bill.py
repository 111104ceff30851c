"""What time on a machine costs: increments that were begun, and nothing for a time that went back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import nodes, times
from writing import NOW

from lepton_sdk.domain.bill import Duplicate, charged
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node


@pytest.mark.parametrize(
    ("seconds", "increment", "cost"),
    [(0, 60, "0"), (1, 60, "0.4"), (60, 60, "0.4"), (61, 60, "0.8"), (3600, 1, "24"), (1, 3600, "24"), (-5, 60, "0")],
)
def test_each_increment_that_was_begun_is_paid(seconds: float, increment: float, cost: str) -> None:
    assert charged(Money("24"), NOW, NOW + timedelta(seconds=seconds), increment) == Money(cost)


@given(nodes, times, st.none() | times)
def test_a_duplicate_comes_back_from_its_record(node: Node, seen: object, gone: object) -> None:
    duplicate = Duplicate(node, seen, gone)  # type: ignore[arg-type]
    assert Duplicate.from_dict(json.loads(json.dumps(duplicate.to_dict()))) == duplicate
