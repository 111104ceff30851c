"""Shapes of request bodies: small checks to combine, so that a double refuses what the vendor refuses.

A shape is a function from a JSON value to whether it fits. `Body` declares the required and optional fields; an undeclared
field is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, frozen

__all__ = ["Body", "Shape", "anything", "either", "flag", "items", "number", "record", "text"]

Shape = Callable[[Any], bool]


def anything(value: Any) -> bool:
    """Fits every value."""
    return True


def text(longest: int = 1 << 20, shortest: int = 0, pattern: str = "") -> Shape:
    """Fits a string with a length limit (in characters), and a regular expression if one is given.

    >>> text(pattern="[a-z]+")("gpu"), text(2)("gpu")
    (True, False)
    """

    def fits(value: Any) -> bool:
        long_enough = isinstance(value, str) and shortest <= len(value) <= longest
        return long_enough and (not pattern or re.fullmatch(pattern, value) is not None)

    return fits


def number(least: float = float("-inf"), most: float = float("inf")) -> Shape:
    """Fits a number from ``least`` to ``most``, but not true or false."""
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def flag(value: Any) -> bool:
    """Fits true and false."""
    return isinstance(value, bool)


def items(shape: Shape, least: int = 0, most: int = 1 << 20) -> Shape:
    """Fits a list of ``least`` to ``most`` values of a shape."""
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(shape, value))


def record(**fields: Shape) -> Shape:
    """Fits an object with exactly these fields."""
    return lambda value: isinstance(value, dict) and value.keys() == fields.keys() and all(fields[k](v) for k, v in value.items())


def either(*shapes: Shape) -> Shape:
    """Fits a value that fits one of the shapes."""
    return lambda value: any(shape(value) for shape in shapes)


@frozen
class Body:
    """The JSON object in the body of a call.

    Args:
        required: required fields, with their shapes.
        optional: optional fields, with their shapes.

    >>> launch = Body({"type": text(64, 1)}, {"script": text()})
    >>> launch.complaint({"type": "small"})
    ''
    >>> launch.complaint({"type": "small", "count": 2})
    'count is not a known field'
    """

    required: Mapping[str, Shape] = Factory(dict)
    optional: Mapping[str, Shape] = Factory(dict)

    def complaint(self, body: Any) -> str:
        """What is wrong with a body; empty when it fits."""
        if not isinstance(body, dict):
            return "the body is not a JSON object"
        for name in self.required:
            if name not in body:
                return f"{name} is missing"
        for name, value in body.items():
            shape = self.required.get(name) or self.optional.get(name)
            if shape is None:
                return f"{name} is not a known field"
            if not shape(value):
                return f"{name} is invalid"
        return ""
