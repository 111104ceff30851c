"""Values that no contract allows, some of which break whatever touches them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

__all__ = ["VALUES", "Impostor", "Trap", "broken"]


class Trap:
    """Breaks in every way in which an object can be touched."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")

    def __hash__(self) -> int:
        raise RuntimeError("no hashing")

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


class Impostor(Trap):
    """Breaks also when it is asked for its class, which no test tool survives: make one inside of a test."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no class")


class _Nowhere(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        raise RuntimeError("no zone")

    tzname = dst = utcoffset  # type: ignore[assignment]


class _Sly(str):
    """Says of itself what is asked for."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**4000),
    st.floats(),
    st.decimals(),
    st.text(max_size=20),
    st.sampled_from(["L4", "", " ", "a\x1b[2Jb", "\ud800", "x" * 100_000, "‮evil", "two\nlines", _Sly("sly")]),
    st.binary(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.datetimes(),
    st.sampled_from(
        [
            datetime.max.replace(tzinfo=UTC),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
            Decimal("sNaN"),
            object,
            print,
            SimpleNamespace(amount=1, currency=None),
        ]
    ),
    st.builds(Trap),
    st.builds(datetime, st.just(2026), st.just(1), st.just(1), tzinfo=st.builds(_Nowhere)),
)


def broken(value: Any, field: str, wrong: Any) -> Any:
    """The same frozen value with another one in a field, past its constructor."""
    from copy import copy

    spoilt = copy(value)
    object.__setattr__(spoilt, field, wrong)
    return spoilt
