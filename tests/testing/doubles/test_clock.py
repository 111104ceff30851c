"""The vendor's time, and how fast it lets one caller go."""

from __future__ import annotations

import time

from lepton_sdk.testing.doubles import Pace, VendorClock


def test_a_clock_follows_the_host_or_stands_still() -> None:
    follows, stands = VendorClock(), VendorClock(5.0)
    assert abs(follows.now() - time.time()) < 60
    follows.skip(3600)
    assert follows.now() - time.time() > 3000
    stands.skip(1)
    assert [stands.now(), stands.now()] == [6.0, 6.0]


def test_pace_counts_each_bucket_and_lets_a_burst_through() -> None:
    pace = Pace()
    assert [pace.admit("a", 0.1, 0.0, early=9) for _ in range(11)] == [True] * 10 + [False]
    assert pace.admit("b", 0.1, 0.0)
    assert pace.admit("a", 0.1, 0.2, early=9)


def test_what_was_refused_does_not_count() -> None:
    pace = Pace()
    assert [pace.admit("", 10, now) for now in (0, 1, 2, 3, 10)] == [True, False, False, False, True]
