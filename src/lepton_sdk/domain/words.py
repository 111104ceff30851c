"""Text from outside on its way to people and to the journal."""

from __future__ import annotations

import unicodedata

__all__ = ["one_line"]

_MOST = 500


def one_line(text: str, most: int = _MOST) -> str:
    """The text in one line, without what could steer a terminal, of ``most`` characters at most.

    >>> one_line("a\\n\\x1b[2Jb  c")
    'a [2Jb c'
    """
    # Cut first: a text of a gigabyte must not be read twice.
    head = text[: 4 * most]
    plain = "".join(" " if char.isspace() else char for char in head if char.isspace() or _is_shown(char))
    plain = " ".join(plain.split())
    return plain if len(plain) <= most and len(text) <= 4 * most else f"{plain[:most]}…"


def _is_shown(char: str) -> bool:
    # Control and format characters (which turn the direction of text), surrogates and what is not assigned.
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
