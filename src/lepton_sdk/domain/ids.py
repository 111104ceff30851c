"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import re
from datetime import datetime

__all__ = ["ID_LENGTH", "is_id", "is_part_of_id", "new_id"]

# Crockford's base 32 in lower case: no i, l, o, u, so that an id can be read aloud and used in any vendor's name rules.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME, _RANDOM = 9, 9
ID_LENGTH = _TIME + _RANDOM
_ID = re.compile(f"[{_ALPHABET}]{{{ID_LENGTH}}}")


def new_id(now: datetime, entropy: bytes) -> str:
    """An id of 18 letters and digits: 9 for the millisecond (until the year 3084), 9 random ones (45 bits).

    Args:
        now: the time that it sorts by.
        entropy: at least 6 random bytes; a simulation passes its own.
    """
    milliseconds = int(now.timestamp() * 1000)
    number = milliseconds << 5 * _RANDOM | int.from_bytes(entropy[:6], "big") & (1 << 5 * _RANDOM) - 1
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(ID_LENGTH)))


def is_id(text: str) -> bool:
    """Return True if ``text`` has the form of an id."""
    return _ID.fullmatch(text) is not None


def is_part_of_id(text: str) -> bool:
    """Return True if an id may begin with ``text``."""
    return 0 < len(text) <= ID_LENGTH and set(text) <= set(_ALPHABET)
