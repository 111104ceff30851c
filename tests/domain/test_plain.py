"""Between frozen values and plain JSON, by the types of their fields."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Any

import pytest
from attrs import field, fields_dict, frozen
from hypothesis import given
from hypothesis import strategies as st
from values import times

from lepton_sdk.domain.plain import from_plain, to_plain


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@frozen
class Part:
    name: str
    at: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "at": to_plain(self.at)}


@frozen
class Whole:
    colour: Colour
    at: datetime
    parts: tuple[Part, ...] = ()
    numbers: tuple[int, ...] = ()
    one: Part | None = None
    data: dict[str, Any] = field(factory=dict)


_parts = st.builds(Part, st.text(max_size=5), st.none() | times)
_wholes = st.builds(
    Whole,
    st.sampled_from(Colour),
    times,
    st.lists(_parts, max_size=3).map(tuple),
    st.lists(st.integers(), max_size=3).map(tuple),
    st.none() | _parts,
    st.dictionaries(st.text(max_size=3), st.integers() | st.none(), max_size=2),
)


def _plain(value: Whole) -> dict[str, Any]:
    return {name: to_plain(getattr(value, name)) for name in fields_dict(Whole)}


@given(_wholes)
def test_a_value_of_values_comes_back(value: Whole) -> None:
    assert from_plain(Whole, json.loads(json.dumps(_plain(value)))) == value


def test_keys_that_the_class_does_not_know_are_passed_over_and_missing_ones_are_its_defaults() -> None:
    assert from_plain(Part, {"name": "a", "colour": "red"}) == Part("a")


@pytest.mark.parametrize("data", [{}, {"name": "a", "at": "yesterday"}, {"name": "a", "at": 3}])
def test_data_that_does_not_hold_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_plain(Part, data)


def test_what_has_words_of_its_own_is_asked_for_them() -> None:
    assert to_plain((Colour.RED, {"a": (Part("b"),)})) == ["red", {"a": [{"name": "b", "at": None}]}]
