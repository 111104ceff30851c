"""Hundreds of schedules in which clients die and the cloud lies; each failure comes back with its seed.

``LEPTON_SDK_SCHEDULES=100000 pytest tests/simulation`` is the nightly mode; ``LEPTON_SDK_SEED=17`` replays one.
"""

from __future__ import annotations

import os

import pytest
from scenes import calm, leave, silent
from schedule import DAY, replay
from stranded import strand

_MANY = int(os.environ.get("LEPTON_SDK_SCHEDULES", "160"))
_GROUPS = 8


@pytest.mark.parametrize("group", range(_GROUPS))
def test_every_schedule_ends_well(group: int) -> None:
    first = int(os.environ.get("LEPTON_SDK_SEED", "0"))
    seeds = [first] if "LEPTON_SDK_SEED" in os.environ else range(group, _MANY, _GROUPS)
    died_at: set[str] = set()
    for seed in seeds:
        outcome = replay(seed)
        assert not outcome.broken, f"seed {seed}: {outcome.broken}"
        died_at |= outcome.stages
    if len(seeds) > 1:
        # A simulation in which nobody ever dies would prove nothing.
        assert died_at


def test_a_seed_goes_the_same_way_twice() -> None:
    assert replay(11) == replay(11)


@pytest.mark.parametrize("group", range(_GROUPS))
def test_a_client_that_never_comes_back_leaves_no_bill(group: int) -> None:
    left = {seed: leave(seed) for seed in range(group, _MANY, _GROUPS)}
    assert not {seed: bills for seed, bills in left.items() if bills}


def test_a_node_that_nobody_can_reach_is_replaced_once_it_has_stopped_its_job() -> None:
    """Its host cannot be given back either: the run goes on without it, and gives it back when it answers again."""
    broken = {seed: strand(seed) for seed in range(20)}
    assert not {seed: lines for seed, lines in broken.items() if lines}


def test_where_nothing_goes_wrong_the_cost_is_the_bill() -> None:
    """No range is needed then: the cost itself is within one billing increment."""
    for seed in range(20):
        cost, least, billed, increment = calm(seed)
        assert least <= cost <= least + increment
        assert abs(cost - billed) <= increment


def test_a_provider_that_is_down_for_a_day_costs_a_day_and_leaves_nothing() -> None:
    """Its machine runs on, its row stays open, and it is given back when the provider answers again."""
    broken, day = silent(17)
    assert broken == []
    assert day >= DAY
