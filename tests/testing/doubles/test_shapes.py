"""Shapes of bodies: what fits and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_sdk.testing.doubles import Body, anything, either, flag, items, number, record, text


@pytest.mark.parametrize(
    ("shape", "fits", "does_not"),
    [
        (anything, [None, 1], []),
        (text(3, 1), ["a", "abc"], ["", "abcd", 1, None]),
        (text(pattern="[a-z]+"), ["a"], ["", "A", "a\n"]),
        (number(1, 2), [1, 1.5, 2], [0, 3, "1", True]),
        (flag, [True, False], [1, "true"]),
        (items(number(), 1, 2), [[1], [1, 2]], [[], [1, 2, 3], ["a"], "a"]),
        (record(a=flag), [{"a": True}], [{}, {"a": 1}, {"a": True, "b": 1}, []]),
        (either(flag, text()), [True, ""], [1]),
    ],
)
def test_shapes(shape: Any, fits: list[Any], does_not: list[Any]) -> None:
    assert [shape(value) for value in fits + does_not] == [True] * len(fits) + [False] * len(does_not)


def test_a_body_with_nothing_declared_takes_an_empty_object() -> None:
    assert (Body().complaint({}), Body().complaint({"a": 1})) == ("", "a is not a known field")
