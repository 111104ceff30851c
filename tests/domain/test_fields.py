"""Keys that people write."""

from __future__ import annotations

import pytest

from lepton_sdk.domain.fields import keys_of, nearest
from lepton_sdk.domain.retry import Retry
from lepton_sdk.errors import JobSpecError


def test_known_keys_come_back() -> None:
    assert keys_of(Retry, "retry", {"error": 1}) == {"error": 1}


@pytest.mark.parametrize(
    ("value", "told", "hint"),
    [(17, "retry: 17 is not a mapping", "write a mapping"), ({"eror": 1}, "retry.eror: unknown key", "did you mean error?")],
)
def test_anything_else_is_told_with_the_next_step(value: object, told: str, hint: str) -> None:
    with pytest.raises(JobSpecError, match=told) as caught:
        keys_of(Retry, "retry", value, hint="write a mapping")
    assert caught.value.hint == hint


def test_few_words_are_all_named() -> None:
    assert nearest("zzz", ["a", "b"]) == "did you mean a, b?"
    assert nearest("zzz", [f"word-{number}" for number in range(20)]) == ""
