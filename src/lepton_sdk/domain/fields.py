"""The keys of what people write: those of a class, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import fields_dict

from lepton_sdk.errors import JobSpecError, LeptonError

__all__ = ["keys_of", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known words closest to ``name``, or all of them if there are few; ``""`` if none is close."""
    from difflib import get_close_matches

    words = sorted(known)
    close = get_close_matches(name, words, n=3, cutoff=0.5) or (words if len(words) <= 12 else [])
    return f"did you mean {', '.join(close)}?" if close else ""


def keys_of(cls: type, where: str, value: Any, *, error: type[LeptonError] = JobSpecError, hint: str = "") -> dict[str, Any]:
    """The keys and values of a mapping that stands for a value of ``cls``.

    Args:
        where: the name of the field that it is the value of; ``""`` for the whole.
        hint: the next step where it is no mapping.

    Raises:
        LeptonError: ``error``; it is no mapping, or has a key that the class has no field for.
    """
    if not isinstance(value, Mapping):
        raise error(f"{where}: {value!r} is not a mapping of keys and values", hint=hint or None)
    known = fields_dict(cls)
    for key in value:
        if key not in known:
            name = f"{where}.{key}" if where else str(key)
            raise error(f"{name}: unknown key", hint=nearest(str(key), known) or None)
    return dict(value)
