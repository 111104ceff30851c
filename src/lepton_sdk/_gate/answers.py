"""Checks the smaller answers: accounts, diagnoses, settings that the vendor's own tool stored, and results of hooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lepton_sdk._gate.values import Wrong, is_a, maybe, name, pairs, part_of, violation, words
from lepton_sdk.spi.provider import Diagnosis

__all__ = ["checked_account", "checked_diagnoses", "checked_keys", "checked_scores", "checked_stored"]

_MOST_LINES = 1000
# A whole number that is too large for a float is no score either.
_FAR = 1e300


def checked_account(value: Any, provider: str) -> str | None:
    """The name of an account.

    Raises:
        ContractViolation: it is not a usable name.
    """
    try:
        return maybe(name())(value)  # type: ignore[no-any-return]
    except Wrong as wrong:
        raise violation("the answer of account()", value, f"{wrong}, or None", provider) from None


def checked_diagnoses(value: Any, provider: str) -> list[Diagnosis]:
    """The lines of a diagnosis; in place of a wrong line, a line that says what is wrong with it.

    Raises:
        ContractViolation: they are not a list.
    """
    if not is_a(value, (list, tuple)) or len(value) > _MOST_LINES:
        raise violation("the answer of diagnose()", value, "give back a list of lepton_sdk.spi.Diagnosis", provider)
    return [_diagnosis(line, provider) for line in value]


def _diagnosis(line: Any, provider: str) -> Diagnosis:
    ok = part_of(line, "ok")
    try:
        if not is_a(line, Diagnosis) or not (ok is None or ok is True or ok is False):
            raise Wrong("write Diagnosis(subject, ok, detail, hint) with True, False or None")
        return Diagnosis(words()(line.subject), ok, words()(line.detail), words()(line.hint))
    except Wrong as wrong:
        fault = violation("a line of diagnose()", line, str(wrong), provider)
        return Diagnosis(f"provider {provider}", False, fault.message, fault.hint or "")


def checked_stored(value: Any) -> tuple[Path, dict[str, str]]:
    """The file of the vendor's own tool and what it says.

    Raises:
        ValueError: it is not that. The text quotes no value: it could be a secret.
    """
    if not is_a(value, tuple) or len(value) != 2:
        raise ValueError("give back a pair: the file and a mapping of key to text")
    path, stored = value
    found = pairs(stored)
    if not is_a(path, (str, Path)) or found is None or len(found) != len(stored):
        raise ValueError("give back a pair: the file and a mapping of key to text")
    return Path(path), found


def checked_keys(value: Any) -> dict[str, Any]:
    """The predicates of an observer's filter; empty for ``None``.

    Raises:
        ContractViolation: it is not a mapping with text keys.
    """
    fix = 'give back a mapping such as {"regions": ["north-1"]}'
    try:
        found = {} if value is None else dict(value.items())
    except Exception:
        raise violation("the answer of filter_offers", value, fix) from None
    if not all(is_a(key, str) for key in found):
        raise violation("the answer of filter_offers", value, fix)
    return found


def checked_scores(value: Any) -> Sequence[float] | None:
    """New scores of an observer.

    Raises:
        ContractViolation: they are not a list of finite numbers.
    """
    if value is None:
        return None
    if not is_a(value, (list, tuple)) or not all(is_a(one, (int, float)) and -_FAR < one < _FAR for one in value):
        raise violation("the answer of rescore", value, "give back a list of finite numbers, one for each candidate")
    return [float(one) for one in value]
