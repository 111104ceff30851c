"""Durations, ranges and other amounts as text: what is written reads back."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from values import ranges

from lepton_sdk.domain.quantity import Range, parse_duration, parse_quantity, show_duration
from lepton_sdk.errors import UsageError


@given(st.integers(1, 366 * 86400))
def test_a_duration(seconds: int) -> None:
    assert parse_duration(seconds) == seconds
    assert parse_duration(f"{seconds}s") == seconds
    # Two units are shown; what is cut off is less than an hour.
    shown = parse_duration(show_duration(seconds))
    assert shown <= seconds < shown + 3600


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.booleans()))
def test_a_duration_or_an_amount_is_refused_or_in_its_bounds(value: object) -> None:
    with suppress(UsageError):
        assert 1 <= parse_duration(value) <= 366 * 86400
    with suppress(UsageError):
        assert 0 < parse_quantity(value) <= 10_000_000


@given(ranges, st.integers(0, 2_000_000))
def test_a_range(value: Range, number: int) -> None:
    assert Range.parse(str(value)) == value
    assert value.contains(number) == (value.low <= number <= (value.high or number))  # type: ignore[operator]
