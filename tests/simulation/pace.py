"""How often the clients of a simulation look at anything."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from lepton_sdk._engine import engine as engine
from lepton_sdk._engine.followers import follow as follower
from lepton_sdk._engine.runs import acquire
from lepton_sdk._engine.runs import drive as story

__all__ = ["as_for_users", "drive_many_or_few"]

# What a client takes for few runs, and how much longer it leaves each machine alone for every run that it drives.
_FEW, _MANY = (engine._FEW, engine._LOOK_EACH), (0, 20.0)
_USUAL = (follower._LOOK_SECONDS, story._LOOK_SECONDS, engine._LONGEST_LOOK)
# So that of three nodes one is asked for when it may be known already that another was refused.
acquire._AT_ONCE = 2


def _look_every(follower_seconds: float, run_seconds: float, machine_seconds: float) -> None:
    follower._LOOK_SECONDS, story._LOOK_SECONDS, engine._LONGEST_LOOK = follower_seconds, run_seconds, machine_seconds


# Two and four looks a second for days of nothing would be most of what a simulation does.
_look_every(5.0, 5.0, 5.0)


@contextmanager
def as_for_users() -> Iterator[None]:
    """Clients look as often as they do for users."""
    _look_every(*_USUAL)
    try:
        yield
    finally:
        _look_every(5.0, 5.0, 5.0)


def drive_many_or_few(dice: random.Random) -> None:
    """Where many runs are driven their machines are looked at seldom, and watched in listings: at times one run is as many."""
    engine._FEW, engine._LOOK_EACH = dice.choice([_FEW, _FEW, _MANY])
