"""What plugins answer beside offers and nodes: accounts, examinations, stored keys, and what observers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from odd import VALUES, Impostor

from lepton_sdk._gate.answers import checked_account, checked_diagnoses, checked_keys, checked_scores, checked_stored
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi import Diagnosis


def test_what_is_right_stays_as_it_is() -> None:
    line = Diagnosis("the key", True, "it opens", "")
    assert checked_account("a-1", "acme") == "a-1"
    assert checked_account(None, "acme") is None
    assert checked_diagnoses([line], "acme") == [line]
    assert checked_stored(("/home/me/.acme", {"key": "k"})) == (Path("/home/me/.acme"), {"key": "k"})
    assert checked_keys(None) == {}
    assert checked_keys({"regions": ["north-1"]}) == {"regions": ["north-1"]}
    assert checked_scores((1, 2.5)) == [1.0, 2.5]
    assert checked_scores(None) is None


@pytest.mark.parametrize(
    ("check", "fix"),
    [
        (lambda value: checked_account(value, "acme"), "or None"),
        (lambda value: checked_diagnoses(value, "acme"), "a list of lepton_sdk.spi.Diagnosis"),
        (checked_keys, "a mapping such as"),
        (checked_scores, "a list of finite numbers"),
    ],
    ids=["account", "diagnose", "filter_offers", "rescore"],
)
def test_what_is_wrong_is_one_violation_with_what_to_write(check: Any, fix: str) -> None:
    for value in (Impostor(), 3.5, object()):
        with pytest.raises(ContractViolation) as caught:
            check(value)
        assert fix in (caught.value.hint or "")


@given(VALUES)
def test_a_wrong_line_of_an_examination_becomes_one_that_says_so(value: Any) -> None:
    good = Diagnosis("the key", True, "it opens")
    first, second = checked_diagnoses([value, good], "acme")
    assert second == good
    assert first.subject == "provider acme"
    assert first.ok is False
    assert first.hint.startswith("write ")


@pytest.mark.parametrize("value", ["/home/me/.acme", ("/a",), ("/a", {"key": 3}), (3, {}), None])
def test_what_a_vendors_tool_has_stored_is_quoted_nowhere(value: Any) -> None:
    with pytest.raises(ValueError, match="give back a pair: the file and a mapping of key to text"):
        checked_stored(value)


@pytest.mark.parametrize("scores", [[float("nan")], [float("inf")], ["1"], "12", {1: 2}])
def test_scores_are_finite_numbers(scores: Any) -> None:
    with pytest.raises(ContractViolation):
        checked_scores(scores)
