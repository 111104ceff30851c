"""A thing that carries our token can be what was asked for only where type, region and time fit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from writing import NOW, intend, plan

from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.node import Node
from lepton_sdk.spi import Timings

_TIMINGS = Timings(listing_lag=60, create_horizon=600)
(_RECORD,) = apply(apply(None, plan("r")), intend("r", "t")).nodes
_MADE = Node("fake", "m", "t", instance_type="h100x8", region="nowhere-1", since=NOW + timedelta(seconds=30))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"instance_type": ""},
        {"region": ""},
        {"since": None},
        # A disk has a type of its own.
        {"kind": "disk", "instance_type": "ssd"},
        # The vendor's clock is ten minutes behind ours, or its call took effect at the last moment.
        {"since": NOW - timedelta(minutes=10)},
        {"since": NOW + timedelta(seconds=660 + 600)},
    ],
)
def test_what_fits_or_does_not_say_may_be_ours(changes: dict[str, Any]) -> None:
    assert contradiction(evolve(_MADE, **changes), _RECORD, _TIMINGS) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"instance_type": "h100x1"}, "its type is h100x1, and h100x8 was asked for"),
        ({"region": "south"}, "it is in south, and nowhere-1 was asked for"),
        ({"since": NOW - timedelta(minutes=11)}, "it began at 2026-11-22 11:49 UTC, and was asked for at 2026-11-22 12:00"),
        ({"since": NOW + timedelta(seconds=661 + 600)}, "it began at"),
    ],
)
def test_what_contradicts_says_what_was_asked_for(changes: dict[str, Any], words: str) -> None:
    assert words in (contradiction(evolve(_MADE, **changes), _RECORD, _TIMINGS) or "")


def test_a_call_that_left_late_may_have_made_it_late() -> None:
    """The host was suspended in the call, and sent it when it woke up; or it was made again under the vendor's key."""
    late = evolve(_MADE, since=NOW + timedelta(hours=5))
    assert contradiction(late, _RECORD, _TIMINGS)
    assert contradiction(late, evolve(_RECORD, unknown_at=NOW + timedelta(hours=5)), _TIMINGS) is None
    assert contradiction(late, evolve(_RECORD, repeated_at=NOW + timedelta(hours=5)), _TIMINGS) is None
