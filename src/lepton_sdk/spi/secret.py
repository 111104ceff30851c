"""Secret: a value that prints as dots wherever it lands."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

from lepton_sdk.errors import LeptonError

__all__ = ["Secret", "forms_of", "hide", "redacted", "without_secrets"]

_DOTS = "••••••"
# The text of every Secret of this process, in each form in which an error may show it; the longest first.
_KNOWN: tuple[str, ...] = ()
# Shorter texts occur in ordinary words.
_SHORTEST = 6


def forms_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """The forms in which a text may contain secrets; the longest first, so that a secret inside another leaves no tail."""
    from functools import partial
    from urllib.parse import quote, quote_plus

    # A variable of the environment may hold bytes that are not UTF-8, which Python keeps as surrogates.
    ways = (partial(quote, safe="", errors="surrogatepass"), partial(quote_plus, errors="surrogatepass"))
    found = {form for text in secrets if text for form in (text, *(way(text) for way in ways), repr(text)[1:-1])}
    return tuple(sorted(found, key=len, reverse=True))


def hide(text: str, forms: Iterable[str]) -> str:
    """The text with dots in place of each of these forms."""
    for form in forms:
        text = text.replace(form, _DOTS)
    return text


def redacted(text: str) -> str:
    """The text without any declared secret of this process.

    >>> key = Secret("k-1234567")
    >>> redacted("refused the key k-1234567")
    'refused the key ••••••'
    """
    return hide(text, _KNOWN)


def without_secrets(error: BaseException) -> None:
    """Remove every known secret from an error's texts, whoever raised it."""
    if not _KNOWN:
        return
    # A foreign class may refuse changes: its texts are redacted where they are shown.
    with suppress(Exception):
        if isinstance(error, LeptonError):
            for name in ("message", "hint", "request"):
                value = getattr(error, name)
                if isinstance(value, str) and (clean := redacted(value)) != value:
                    setattr(error, name, clean)
        args = tuple(redacted(one) if isinstance(one, str) else one for one in error.args)
        if args != error.args:
            error.args = args


def _remember(value: str) -> None:
    global _KNOWN
    if len(value) >= _SHORTEST and value not in _KNOWN:
        _KNOWN = tuple(sorted({*_KNOWN, *forms_of([value])}, key=len, reverse=True))


class Secret:
    """A text that prints as dots; only `reveal` returns its value.

    >>> key = Secret("abc")
    >>> print(key, [key], f"{key:>8}")
    •••••• [••••••] ••••••
    >>> key.reveal()
    'abc'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        _remember(value)

    def reveal(self) -> str:
        """The value itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return _DOTS

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        # Widths would tell the length, so the format is ignored.
        return _DOTS

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written to files or sent to other processes; call reveal() where it must be")
