"""The waiting times agree with each other: a shorter one does not make a longer one useless."""

from __future__ import annotations

import re

import pytest
from attrs import fields_dict

from lepton_sdk._engine.timing import USUAL, Timing
from lepton_sdk.domain.keeping import Keeping


def test_every_time_is_explained() -> None:
    told = re.findall(r"^ {8}(\w+):", Timing.__doc__ or "", re.MULTILINE)
    assert sorted(told) == sorted(fields_dict(Timing))


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        # A claim that is renewed once too late is still ours.
        ("renewal", "claim"),
        ("shortest_poll", "longest_poll"),
        # Before a machine's release, one question is a part of all that may be asked.
        ("answer", "stopped"),
        ("silent", "stopped"),
        ("ending", "ending_own"),
        # What nobody can reach is given up sooner than what is only asked for again.
        ("leave", "release"),
        # A provider that lists late is still waited for by one call of its plugin.
        ("market", "provider"),
        ("provider", "create"),
        ("arming", "silence"),
    ],
)
def test_times_stand_in_their_order(shorter: str, longer: str) -> None:
    assert getattr(USUAL, shorter) <= getattr(USUAL, longer)


def test_a_claim_outlives_three_renewals() -> None:
    assert 3 * USUAL.renewal < USUAL.claim


def test_what_the_user_set_shortens_what_is_waited_for_after_a_stop() -> None:
    timing = USUAL.with_keeping(Keeping(after_stop=3))
    assert (timing.stopped, timing.keeping.after_stop, timing.claim) == (3.0, 3, USUAL.claim)
