"""Retries: by the error's own word, at the vendor's pace, in virtual time."""

from __future__ import annotations

import pytest

from lepton_sdk._retry import retrying
from lepton_sdk.errors import AuthError, LeptonError, OutcomeUnknown, RateLimited, Unavailable
from lepton_sdk.testing import VirtualClock, run_virtual


def play(errors: list[LeptonError], seconds: float = 120) -> tuple[int, float]:
    """How many calls were made, and how long it took until the answer."""
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    async def main() -> tuple[int, float]:
        clock = VirtualClock()
        assert await retrying(lambda: call(), clock, seconds=seconds) == "answer"
        return len(errors) - len(left) + 1, clock.monotonic()

    return run_virtual(main())


def test_without_an_error_there_is_one_call_and_no_wait() -> None:
    assert play([]) == (1, 0)


def test_what_may_pass_is_tried_again_with_growing_waits() -> None:
    assert play([Unavailable("down")] * 4) == (5, 0.5 + 1 + 2 + 4)


def test_the_vendors_pace_is_kept() -> None:
    assert play([RateLimited("slower", retry_after=7), RateLimited("slower", retry_after=11)]) == (3, 18)


@pytest.mark.parametrize("error", [AuthError("no"), OutcomeUnknown("lost")])
def test_what_cannot_pass_is_raised_at_once(error: LeptonError) -> None:
    with pytest.raises(type(error)):
        play([error])


def test_the_last_error_is_raised_when_the_time_is_over() -> None:
    with pytest.raises(Unavailable, match="still down"):
        play([Unavailable("still down")] * 50, seconds=60)
