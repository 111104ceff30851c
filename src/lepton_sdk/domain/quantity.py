"""Durations, sizes and ranges as people write them, read into plain numbers."""

from __future__ import annotations

import math
import re

from attrs import frozen

from lepton_sdk.errors import UsageError

__all__ = ["Range", "parse_duration", "parse_quantity", "show_duration"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_LONGEST = 366 * 86400
_LARGEST = 10_000_000.0


def parse_duration(value: object) -> int:
    """Seconds from ``90``, ``"90s"``, ``"1h30m"``, ``"2d"``.

    Raises:
        UsageError: not a duration, not positive, or longer than 366 days.

    >>> parse_duration("1h30m")
    5400
    """
    seconds: float
    text = str(value).strip().lower()
    if isinstance(value, bool):
        seconds = math.nan
    elif _DURATION.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
    if not math.isfinite(seconds) or not 1 <= seconds <= _LONGEST:
        raise UsageError(f"{value!r} is not a duration", hint="write 90s, 30m, 6h, 2d or 1h30m, between 1 second and 366 days")
    return round(seconds)


def show_duration(seconds: float) -> str:
    """The reverse of `parse_duration`, two units at most: ``"1h30m"``.

    >>> show_duration(5400)
    '1h30m'
    """
    left = round(seconds)
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def parse_quantity(value: object) -> float:
    """A positive amount of CPUs or GiB, "at least": ``8``, ``"8"``, ``"8+"``.

    Raises:
        UsageError: not a number, not positive, NaN or absurdly large.
    """
    text = str(value).strip().removesuffix("+")
    try:
        number = math.nan if isinstance(value, bool) else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not 0 < number <= _LARGEST:
        raise UsageError(f"{value!r} is not an amount", hint='write a positive number such as 8 or "8+"')
    return number


@frozen
class Range:
    """An inclusive range of whole numbers; an end that is ``None`` is open.

    >>> Range.parse("80+").contains(141)
    True
    """

    low: int | None = None
    high: int | None = None

    @classmethod
    def parse(cls, value: object) -> Range:
        """Read ``80`` (exactly), ``"80+"`` (at least), ``"40-80"`` (between).

        Raises:
            UsageError: anything else, an empty range, or a number that is not positive.
        """
        if isinstance(value, Range):
            return value
        match = None if isinstance(value, bool) else re.fullmatch(r"(\d{1,6})(\+|-(\d{1,6}))?", str(value).strip())
        if match:
            low = int(match[1])
            high = int(match[3]) if match[3] else (None if match[2] else low)
            if low > 0 and (high is None or high >= low):
                return cls(low, high)
        raise UsageError(f"{value!r} is not a range", hint='write 80 (exactly), "80+" (at least) or "40-80" (between)')

    def contains(self, number: int) -> bool:
        """Return True if ``number`` is in the range."""
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
