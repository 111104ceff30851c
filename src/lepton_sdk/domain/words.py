"""Text from outside (a node, a plugin, a file's name) on its way to people, to the journal and to a terminal."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_variable", "one_line"]

_MOST = 500
# Control characters, characters that change the text direction, surrogates, private-use and unassigned characters.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def one_line(text: str | bytes, most: int = _MOST) -> str:
    """The text on one line of at most ``most`` characters, without anything that controls a terminal.

    >>> one_line("a\\n\\x1b[2Jb  c")
    'a [2Jb c'
    """
    # Read only the beginning of a very long text.
    beginning = text[: 8 * most]
    words = beginning.decode(errors="replace") if isinstance(beginning, bytes) else beginning
    shown = " ".join("".join(" " if unicodedata.category(char) in _HIDDEN else char for char in words).split())
    return shown if len(shown) <= most and len(text) <= 8 * most else f"{shown[: most - 2].rstrip()} …"


def is_variable(name: object) -> bool:
    """Whether a shell can have an environment variable of this name."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None
