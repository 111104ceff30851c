"""What the engine lets in from providers and executors; the checks are those of `lepton_sdk._gate`."""

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
    """What a method gave that lists things, as something that can be read one by one.

    Raises:
        ContractViolation: it gave something else, most likely because it never yields.
    """
    if not hasattr(type(answer), "__aiter__"):
        if iscoroutine(answer):
            answer.close()
        raise violation(f"the answer of {method}()", answer, "make it an async generator: yield each thing", provider)
    found: AsyncIterator[Any] = answer
    return found
