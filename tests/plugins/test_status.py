"""What a row says of a plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Python = Callable[..., Any]
_ROWS = "answer = [s.to_dict() for s in registry.statuses()]"


def _rows(answer: list[dict[str, Any]], name: str, kind: str = "provider") -> list[dict[str, Any]]:
    return [row for row in answer if (row["name"], row["kind"]) == (name, kind)]


@pytest.mark.parametrize(
    ("name", "reason", "step"),
    [
        ("raises", "RuntimeError: the vendor's SDK is not here", "pip install --upgrade lepton-raises"),
        ("exits", "it exited (SystemExit: no licence found)", "plugins.disabled"),
        ("wrong-type", "lepton_wrong_type:PROVIDER is dict, not ProviderSpec", "pip install --upgrade"),
        ("wrong-name", "its entry point is called wrong-name and its spec another", "tell the author"),
        ("future", "it is written for contract v2, this lepton_sdk speaks v1", "pip install --upgrade lepton-sdk"),
        ("needs-key", "no credentials", "set NEEDS_KEY_API_KEY, or write api_key under [providers.needs-key]"),
    ],
)
def test_a_row_says_why_and_what_next(python: Python, name: str, reason: str, step: str) -> None:
    (row,) = _rows(python(_ROWS), name)
    assert reason in row["reason"]
    assert step in row["next"]
    assert row["distribution"] == f"lepton-{name}"
    assert row["version"] == "1.0"
