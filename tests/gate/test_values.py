"""Checks of single values: what is right comes back as a plain one, and what is wrong says what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import VALUES, Impostor

from lepton_sdk._gate import values
from lepton_sdk._gate.values import Check, Wrong
from lepton_sdk.domain.money import Money
from lepton_sdk.spi import NodeState, Secret, SSHAccess


class Loud(str):
    """A text that lies in every method that it can."""

    __slots__ = ()

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        return "a lie"


class Price(Money):
    pass


class Other(StrEnum):
    READY = "ready"


_CHECKS: dict[str, Check] = {
    "name": values.name(),
    "words": values.words(),
    "texts": values.texts(),
    "whole": values.whole(10),
    "number": values.number(10.0),
    "amount": values.amount,
    "flag": values.flag,
    "time": values.time,
    "kind": values.kind(NodeState),
    "mapping": values.mapping(100),
}


@given(st.sampled_from(sorted(_CHECKS)), VALUES)
def test_anything_at_all_is_right_or_wrong_and_raises_nothing_else(check: str, value: Any) -> None:
    words = found = None
    try:
        found = _CHECKS[check](value)
    except Wrong as wrong:
        words = str(wrong)
    # What came through is one of ours: it comes through again, as it is.
    assert _CHECKS[check](found) == found if words is None else words.startswith("write ")


@pytest.mark.parametrize("check", sorted(_CHECKS))
def test_what_breaks_whatever_touches_it_is_wrong(check: str) -> None:
    with pytest.raises(Wrong):
        _CHECKS[check](Impostor())


@pytest.mark.parametrize(
    ("check", "value", "right"),
    [
        ("name", Loud("north-1"), "north-1"),
        ("words", "two\nlines\x1b[31m", "two lines"),
        ("whole", 10, 10),
        ("number", 10, 10),
        ("amount", Money("1.50", "EUR"), Money("1.50", "EUR")),
        ("flag", False, False),
        ("kind", NodeState.READY, NodeState.READY),
        ("mapping", {"a": "b"}, {"a": "b"}),
    ],
)
def test_what_is_right_comes_back_plain(check: str, value: Any, right: Any) -> None:
    found = _CHECKS[check](value)
    if check == "words":
        assert found.startswith(right)
        assert found.isprintable()
    else:
        assert found == right
        assert type(found) is type(right)


@pytest.mark.parametrize(
    ("check", "value", "fix"),
    [
        ("name", "", "1 to 200 characters"),
        ("name", "a\tb", "without control characters"),
        ("name", 17, "write a text"),
        ("whole", True, "a whole number from 0 to 10"),
        ("whole", 1.0, "a whole number from 0 to 10"),
        ("whole", -1, "a whole number from 0 to 10"),
        ("number", float("nan"), "a finite number from 0 to 10"),
        ("number", float("inf"), "a finite number from 0 to 10"),
        ("amount", 0.8, 'write Money("0.8"): a float is no exact amount'),
        ("amount", Decimal("0.8"), 'write Money("31.92")'),
        ("flag", 1, "write True or False"),
        ("time", datetime(2026, 1, 1), "with its zone"),  # noqa: DTZ001 - naive on purpose
        ("time", datetime(1999, 1, 1, tzinfo=UTC), "between 2000 and 2200"),
        ("kind", "ready", "one of NodeState.QUEUED"),
        ("kind", Other.READY, "one of NodeState.QUEUED"),
        ("mapping", {"a": 1}, "a mapping of text to text"),
        ("mapping", {"a": "b" * 100}, "100 characters at most"),
        ("texts", ["a"], "a tuple of texts"),
    ],
)
def test_what_is_wrong_says_what_to_write(check: str, value: Any, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        _CHECKS[check](value)
    assert fix in str(caught.value)


def test_a_time_is_kept_in_utc() -> None:
    there = datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert values.time(there) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert values.time(there).tzinfo is UTC


def test_a_class_of_its_own_does_not_come_through() -> None:
    assert type(values.amount(Price("3"))) is Money
    assert type(values.name()(Loud("a"))) is str


def test_what_is_shown_of_a_value_is_one_short_line() -> None:
    shown = values.shown("x" * 5000 + "\n\x1b[31m")
    assert len(shown) < 200
    assert shown.isprintable()
    assert values.shown(Impostor()) == "something of type Impostor"


def test_half_a_secret_is_not_shown() -> None:
    """A value is cut to be shown, and its secrets are taken out before that."""
    secret = "s3cret-" + "x" * 100
    Secret(secret)
    for value in (secret, SSHAccess(f"host-{secret}"), [f"a {secret}"], {"key": secret}):
        assert "s3cret" not in values.shown(value)
