"""Deliberate bugs of time: what goes by a clock that somebody sets."""

from __future__ import annotations

import pytest
from mutants import mutant

from lepton_sdk._clock import SteadyClock
from lepton_sdk._journal.stores import sqlite

__all__ = ["claims_by_the_wall_clock", "time_by_the_wall_clock"]


@mutant(finds="was closed while its machine", aim=("unknown", "jump"))
def time_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Horizons and time-outs go by a clock that somebody sets."""
    patch.setattr(SteadyClock, "now", lambda clock: clock.wall())


@mutant(finds="from a follower whose claim had run out", aim=("intended", "jump"))
def claims_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Who may drive a run is told by a clock that somebody sets."""
    patch.setattr(sqlite.SqliteStore, "now", lambda _, clock: clock.wall())
