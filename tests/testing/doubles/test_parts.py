"""The small parts: time, pace, stock, shapes, faults, requests; and every example of a docstring."""

from __future__ import annotations

import doctest
import pkgutil
import time
from importlib import import_module
from typing import Any

import pytest

from lepton_sdk.testing import doubles
from lepton_sdk.testing.doubles import (
    Body,
    Faults,
    Pace,
    Request,
    Stock,
    VendorClock,
    anything,
    either,
    flag,
    items,
    number,
    record,
    text,
)


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(doubles.__path__)])
def test_the_examples_hold(name: str) -> None:
    assert doctest.testmod(import_module(f"{doubles.__name__}.{name}")).failed == 0


def test_a_clock_follows_the_host_or_stands_still() -> None:
    follows, stands = VendorClock(), VendorClock(5.0)
    assert abs(follows.now() - time.time()) < 60
    follows.skip(3600)
    assert follows.now() - time.time() > 3000
    stands.skip(1)
    assert [stands.now(), stands.now()] == [6.0, 6.0]


def test_pace_counts_each_bucket_and_lets_a_burst_through() -> None:
    pace = Pace()
    assert [pace.admit("a", 0.1, 0.0, early=9) for _ in range(11)] == [True] * 10 + [False]
    assert pace.admit("b", 0.1, 0.0)
    assert pace.admit("a", 0.1, 0.2, early=9)


def test_what_was_refused_does_not_count() -> None:
    pace = Pace()
    assert [pace.admit("", 10, now) for now in (0, 1, 2, 3, 10)] == [True, False, False, False, True]


def test_stock_knows_what_it_never_had() -> None:
    stock = Stock({("a", "x"): 1})
    assert (stock.sells("a", "x"), stock.sells("a", "y"), stock.take("a", "y")) == (True, False, False)
    assert stock.take("a", "x")
    stock.give_back("a", "x")
    stock.put("b", "x", 2)
    assert [(place, stock.left(*place)) for place in stock.places()] == [(("a", "x"), 1), (("b", "x"), 2)]


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


def test_a_fault_waits_for_what_comes_before_it() -> None:
    faults = Faults()
    faults.add(kind="status", match="GET", after="POST")
    faults.add(kind="slow", match="DELETE", times=2)
    seen = [faults.take(line) for line in ("GET /", "POST /", "GET /", "GET /", "DELETE /", "DELETE /", "DELETE /")]
    assert [one and one.kind for one in seen] == [None, None, "status", None, "slow", "slow", None]


def test_a_request_shows_no_secret() -> None:
    request = Request("GET", "/x?a=1&a=2&b=", {"authorization": "s3cret"}, b"s3cret")
    assert "s3cret" not in repr(request)
    assert (request.query, request.line) == ({"a": "2", "b": ""}, "GET /x?a=1&a=2&b=")
