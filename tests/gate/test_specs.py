"""A spec with a wrong field makes its plugin broken when it is listed, in one line that names field, value and fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Python = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "reason", "step"),
    [
        ("title", "its spec does not hold: title is None (NoneType), which the contract does not allow", "write a text"),
        ("rates", "its spec does not hold: rates is {'': 'fast'} (dict)", "write a finite number from 0 to 86400"),
        ("timings", "its spec does not hold: timings.boot is nan (float)", "write a finite number from 0 to 315360000"),
        ("pattern", "its spec does not hold: name_pattern is '[a-z' (str)", "write a regular expression: unterminated"),
        ("field", "its spec does not hold: config.name is 'api key' (str)", "write 1 to 64 lower-case letters"),
        ("flags", "capabilities is 'local', a text", 'write a set: {"local"}'),
        ("stored", "lepton_wrong_spec:stored failed (ValueError)", "tell the plugin's author"),
        ("help", "its spec does not hold: help is 5 (int)", "write a text"),
    ],
)
def test_a_wrong_spec_is_one_line(python: Python, name: str, reason: str, step: str) -> None:
    rows, lines = python("answer = [[s.to_dict() for s in registry.statuses()], list(registry.warnings())]")
    (row,) = [row for row in rows if row["name"] == f"wrong-{name}"]
    assert row["state"] == "broken"
    assert reason in row["reason"]
    assert step in row["next"] or step in row["reason"]
    (line,) = [line for line in lines if f" wrong-{name} " in line]
    assert "\n" not in line
    assert "s3cr3t" not in str(rows)


def test_the_plugins_beside_it_are_ready(python: Python) -> None:
    rows = python("answer = [s.to_dict() for s in registry.statuses()]")
    assert {row["state"] for row in rows if row["name"] in ("healthy", "both")} == {"ready"}
