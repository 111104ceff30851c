"""Text that a node or a job wrote, made fit for people: a message, a journal row, a terminal."""

from __future__ import annotations

import unicodedata

__all__ = ["plain"]

_LONGEST = 300
# Control characters, those that turn the direction of text, halves of pairs, and what no font knows.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def plain(text: str | bytes, most: int = _LONGEST) -> str:
    """The text on one line of at most ``most`` characters, without anything that a terminal would obey."""
    # Of an endless text only the beginning is looked at.
    beginning = text[: 8 * most]
    words = beginning.decode(errors="replace") if isinstance(beginning, bytes) else beginning
    shown = " ".join("".join(" " if unicodedata.category(c) in _HIDDEN else c for c in words).split())
    return shown if len(shown) <= most and len(text) <= 8 * most else f"{shown[: most - 2].rstrip()} …"
