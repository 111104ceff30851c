"""Secret: a value that prints as dots wherever it lands."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Secret"]

_DOTS = "••••••"


class Secret:
    """A text that is shown as dots; its value comes out only when asked by name.

    >>> key = Secret("abc")
    >>> print(key, [key], f"{key:>8}")
    •••••• [••••••] ••••••
    >>> key.reveal()
    'abc'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

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
