"""The waiting times that clients of a simulation are given."""

from __future__ import annotations

import random

from attrs import evolve

from lepton_sdk._engine.timing import USUAL, Timing
from lepton_sdk.domain.keeping import Keeping

__all__ = ["AS_FOR_USERS", "SELDOM", "few_or_many"]

# Of three nodes one is asked for when it may be known already that another was refused; no thread watches a virtual loop.
# Hosts stand still there for minutes at a time.
AS_FOR_USERS = evolve(USUAL, key_margin=900.0, creates_at_once=2, keeping=Keeping(size=1 << 20), stall=None)
# Two and four looks a second for days of nothing would be most of what a simulation does.
SELDOM = evolve(AS_FOR_USERS, elsewhere=5.0, next_attempt=5.0, longest_poll=5.0)
_MANY = evolve(SELDOM, few=0, poll_each=20.0)


def few_or_many(dice: random.Random) -> Timing:
    """Where many runs are driven their machines are polled seldom, and watched in listings: at times one run is as many."""
    return dice.choice([SELDOM, SELDOM, _MANY])
