"""Checks of single values. Each returns the value as a plain one of its type, or raises `Wrong` with what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from reprlib import Repr
from typing import Any

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ContractViolation, UsageError
from lepton_sdk.spi.secret import redacted

__all__ = [
    "Check",
    "Wrong",
    "amount",
    "flag",
    "is_a",
    "kind",
    "mapping",
    "maybe",
    "name",
    "number",
    "pairs",
    "part_of",
    "shown",
    "texts",
    "time",
    "violation",
    "whole",
    "words",
]

Check = Callable[[Any], Any]

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_A_TIME = "write a datetime with its zone, between 2000 and 2200, such as datetime.now(UTC)"
_SHOWN = 120


class _Repr(Repr):
    """Shortens what is shown; secrets go first, because nobody would know one that is cut in half."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(redacted(x), level)

    def repr_instance(self, x: object, level: int) -> str:
        told = redacted(repr(x))
        return told if len(told) <= self.maxother else f"{told[: self.maxother // 2]}...{told[-self.maxother // 2 :]}"


_REPR = _Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _SHOWN


class Wrong(Exception):
    """A value breaks the contract; the text says what to write instead."""


def is_a(value: object, cls: type | tuple[type, ...]) -> bool:
    """Whether it really is one, whatever its ``__class__`` claims."""
    return issubclass(type(value), cls)


def shown(value: object) -> str:
    """A value for people, on one short line, with its type; works also when its ``repr`` raises."""
    kind_of = one_line(type(value).__name__, 60)
    try:
        value = str.__str__(value) if is_a(value, str) else value
        return f"{one_line(_REPR.repr(value), _SHOWN)} ({kind_of})"
    except (Exception, SystemExit):
        return f"something of type {kind_of}"


def part_of(value: object, name: str) -> Any:
    """An attribute; the error itself where reading it raises."""
    try:
        return getattr(value, name)
    except Exception as error:
        return error


def violation(what: str, value: object, fix: str, provider: str | None = None) -> ContractViolation:
    """The error for a wrong value.

    Args:
        what: which value it is, ``"region of offer 'gpu-1'"``.
        fix: what its author should write instead.
    """
    return ContractViolation(f"{what} is {shown(value)}, which the contract does not allow", provider=provider, hint=fix)


# --- text -------------------------------------------------------------------------------------------------------------


def _text(value: object, fix: str) -> str:
    if not is_a(value, str):
        raise Wrong(fix)
    # A subclass may lie in every method.
    return str.__str__(value)


def name(most: int = 200) -> Check:
    """A text that names something: nothing in it may be dropped or changed."""
    fix = f"write a text of 1 to {most} characters on one line, without control characters and double spaces"

    def check(value: Any) -> str:
        text = _text(value, fix)
        if not 0 < len(text) <= most or one_line(text, most) != text:
            raise Wrong(fix)
        return text

    return check


def words(most: int = 500) -> Check:
    """A text for people, without what cannot be shown on one line."""
    return lambda value: one_line(_text(value, 'write a text; "" where there is nothing to say'), most)


def texts(most: int = 1000, longest: int = 500) -> Check:
    """A tuple of texts for people."""
    fix = f"write a tuple of texts, {most} at most"

    def check(value: Any) -> tuple[str, ...]:
        if not is_a(value, tuple) or len(value) > most:
            raise Wrong(fix)
        return tuple(one_line(_text(item, fix), longest) for item in value)

    return check


# --- numbers ----------------------------------------------------------------------------------------------------------


def whole(most: int) -> Check:
    """A whole number of 0 or more."""
    return lambda value: _number(value, int, most, f"write a whole number from 0 to {most}")


def number(most: float) -> Check:
    """A finite number of 0 or more."""
    return lambda value: _number(value, (int, float), most, f"write a finite number from 0 to {most:.0f}")


def _number(value: Any, types: type | tuple[type, ...], most: float, fix: str) -> Any:
    if not is_a(value, types) or is_a(value, bool):
        raise Wrong(fix)
    plain = int.__int__(value) if is_a(value, int) else float.__float__(value)
    # NaN fails every comparison.
    if not 0 <= plain <= most:
        raise Wrong(fix)
    return plain


def amount(value: Any) -> Money:
    """Money, rebuilt from its parts."""
    if is_a(value, float):
        raise Wrong(f'write Money("{float.__repr__(value)}"): a float is no exact amount')
    if not is_a(value, Money) or not is_a(part_of(value, "amount"), Decimal):
        raise Wrong('write Money("31.92"), or None where no price is known')
    try:
        return Money(value.amount, value.currency)
    except UsageError as error:
        raise Wrong(error.hint or error.message) from None


# --- the rest ---------------------------------------------------------------------------------------------------------


def flag(value: Any) -> bool:
    """True or false."""
    if value is not True and value is not False:
        raise Wrong("write True or False")
    return value


def time(value: Any) -> datetime:
    """A moment with its zone, in UTC."""
    if not is_a(value, datetime):
        raise Wrong(_A_TIME)
    try:
        # A zone is its author's code, and astimezone would read a naive time as local time.
        moment = value.astimezone(UTC) if value.utcoffset() is not None else None
    except Exception:
        moment = None
    if moment is None or not _EARLIEST <= moment <= _LATEST:
        raise Wrong(_A_TIME)
    return datetime.combine(moment.date(), moment.time(), UTC)


def kind(cls: type[StrEnum]) -> Check:
    """A member of an enumeration."""

    def check(value: Any) -> StrEnum:
        if not is_a(value, cls):
            raise Wrong(f"write one of {', '.join(f'{cls.__name__}.{member.name}' for member in cls)}")
        found: StrEnum = value
        return found

    return check


def maybe(check: Check) -> Check:
    """The same, or ``None``."""
    return lambda value: None if value is None else check(value)


def mapping(most: int) -> Check:
    """A mapping of text to text, at most ``most`` characters in total, as a dict."""
    fix = f"write a mapping of text to text, {most} characters at most"

    def check(value: Any) -> dict[str, str]:
        found = pairs(value)
        if found is None or len(found) != len(value) or sum(len(key) + len(text) for key, text in found.items()) > most:
            raise Wrong(fix)
        return found

    return check


def pairs(value: Any) -> dict[str, str] | None:
    """The text entries of a mapping; ``None`` where it is not a mapping, or reading it raises."""
    try:
        if not is_a(value, Mapping):
            return None
        items = [(key, text) for key, text in value.items() if is_a(key, str) and is_a(text, str)]
        return {str.__str__(key): str.__str__(text) for key, text in items}
    except Exception:
        return None
