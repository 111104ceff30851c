"""Convert frozen values to plain JSON values and back, by the types of their fields.

A class may have its own ``to_dict`` and ``from_dict``. Everything else is converted by its annotation: times in ISO 8601,
enumerations and amounts as text, tuples as lists, nested values as objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import lru_cache, partial
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from attrs import fields, has

__all__ = ["from_plain", "readers", "to_plain"]

_T = TypeVar("_T")
Reader = Callable[[Any], Any]


def to_plain(value: Any) -> Any:
    """The value as plain JSON."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: to_plain(one) for name, one in value.items()}
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return value


def from_plain(cls: Callable[..., _T], data: Mapping[str, Any]) -> _T:
    """Make a value of a class from the plain form of its fields (see `to_plain`). Unknown keys are ignored.

    Raises:
        KeyError, TypeError, ValueError: the data is not valid.
    """
    return cls(**{name: read(data[name]) for name, read in readers(cls).items() if name in data})


@lru_cache(maxsize=64)
def readers(cls: Any) -> Mapping[str, Reader]:
    """For each field of a class, the function that reads its plain form."""
    hints = get_type_hints(cls)
    return {field.name: _reader(hints[field.name]) for field in fields(cls)}


def _reader(hint: Any) -> Reader:
    if get_origin(hint) in (Union, UnionType):
        some = [one for one in get_args(hint) if one is not NoneType]
        read = _reader(some[0]) if len(some) == 1 else _same
        return lambda value: None if value is None else read(value)
    if get_origin(hint) is tuple:
        item = _reader(get_args(hint)[0])
        return lambda value: tuple(map(item, value))
    if hint is datetime:
        return datetime.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if hasattr(hint, "from_dict"):
        return hint.from_dict  # type: ignore[no-any-return]
    return partial(from_plain, hint) if has(hint) else _same


def _same(value: Any) -> Any:
    return value
