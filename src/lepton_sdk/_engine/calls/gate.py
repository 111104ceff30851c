"""The checks on every answer of providers and executors; they are those of `lepton_sdk._gate`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from inspect import iscoroutine
from typing import Any

from lepton_sdk._gate.answers import checked_account, checked_diagnoses, checked_keys, checked_scores
from lepton_sdk._gate.executions import checked_armed, checked_chunk, checked_command, checked_fetched, checked_status
from lepton_sdk._gate.nodes import checked_node
from lepton_sdk._gate.offers import Faults, checked_offer
from lepton_sdk._gate.values import violation

__all__ = [
    "Faults",
    "checked_account",
    "checked_armed",
    "checked_chunk",
    "checked_command",
    "checked_diagnoses",
    "checked_fetched",
    "checked_keys",
    "checked_node",
    "checked_offer",
    "checked_scores",
    "checked_status",
    "each",
]


def each(answer: Any, method: str, provider: str) -> AsyncIterator[Any]:
    """The answer of a listing method, as an async iterator.

    Raises:
        ContractViolation: the answer is none, most likely because the method never yields.
    """
    if not hasattr(type(answer), "__aiter__"):
        if iscoroutine(answer):
            answer.close()
        raise violation(f"the answer of {method}()", answer, "make it an async generator: yield each thing", provider)
    found: AsyncIterator[Any] = answer
    return found
