"""Thousands of schedules in which clients die and the cloud lies; each failure comes back with its seed.

``LEPTON_SDK_SCHEDULES=100000`` plays so many (`nox -s nightly` does, on all processors); ``LEPTON_SDK_SEED=17`` replays one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import pytest
from keys import keys
from liars import liars
from scenes import calm, crowd, leave, replaced, silent
from schedule import DAY, replay
from stranded import strand
from twins import twins

_MANY = int(os.environ.get("LEPTON_SDK_SCHEDULES", "2000"))
# Small enough that the last of them keeps one processor busy for less than a minute while the others have nothing left.
_EACH = 100
_GROUPS = max(1, _MANY // _EACH)
# Of these scenes one is played for so many schedules, and each group plays its share.
_SCENES: dict[str, tuple[Callable[[int], Iterable[str]], int]] = {
    "leave": (leave, 10),
    "twins": (twins, 10),
    "crowd": (crowd, 100),
    "liars": (liars, 10),
    "keys": (keys, 10),
}


@pytest.mark.parametrize("group", range(_GROUPS))
def test_every_schedule_ends_well(group: int) -> None:
    first = int(os.environ.get("LEPTON_SDK_SEED", "0"))
    seeds = [first] if "LEPTON_SDK_SEED" in os.environ else range(group, _MANY, _GROUPS)
    died_at: set[str] = set()
    broken: dict[int, Iterable[str]] = {}
    for seed in seeds:
        outcome = replay(seed)
        broken |= {seed: outcome.broken} if outcome.broken else {}
        died_at |= outcome.stages
    assert not broken
    if len(seeds) > 1:
        # A simulation in which nobody ever dies would prove nothing.
        assert died_at


@pytest.mark.parametrize("group", range(_GROUPS))
@pytest.mark.parametrize("scene", _SCENES)
def test_every_scene_ends_well(scene: str, group: int) -> None:
    """Nobody comes back (`leave`); several drive one run (`twins`); several runs do not all fit under a cap (`crowd`); nodes lie
    when a machine is to be given back (`liars`); create calls are made again under a key (`keys`)."""
    play, rarity = _SCENES[scene]
    broken = {seed: list(play(seed)) for seed in range(group, _MANY // rarity, _GROUPS)}
    assert not {seed: lines for seed, lines in broken.items() if lines}


def test_a_duplicate_of_a_closed_row_is_in_the_account_that_shows_it() -> None:
    """All rows were closed, in another account, when it turned up: the account that we had then knows nothing of it."""
    assert replay(8694, ("releasing", "forget_release")).broken == ()


def test_a_seed_goes_the_same_way_twice() -> None:
    assert replay(11) == replay(11)


def test_a_node_that_dies_is_replaced_within_seconds() -> None:
    """Also one that dies while its job is being begun: nobody knocks for minutes at what its provider says is gone."""
    assert max(map(replaced, range(20))) < 30


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
