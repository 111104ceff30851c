"""Deliberate bugs: a simulation that does not find them proves nothing by finding none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import mutants_of_clocks
import mutants_of_creates
import mutants_of_release
import pytest
from keys import keys
from liars import liars
from mutants import MUTANTS, Mutant
from scenes import crowd, leave
from schedule import replay
from stranded import strand
from twins import twins

# Each file of bugs adds its own to the list.
assert mutants_of_clocks.__all__ + mutants_of_creates.__all__ + mutants_of_release.__all__
# After so many schedules without a finding the bug counts as not found.
_PATIENCE = 150
_WHERE: dict[str, Callable[[int], Iterable[str]]] = {
    "leave": leave,
    "crowd": crowd,
    "keys": keys,
    "strand": strand,
    "liars": liars,
    "twins": twins,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_deliberate_bug_is_found_for_what_it_is(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.mutate(monkeypatch)
    play = _WHERE.get(mutant.where) or (lambda seed: replay(seed, mutant.aim).broken)
    for seed in range(_PATIENCE):
        if any(re.search(mutant.finds, line) for line in play(seed)):
            return
    pytest.fail(f"{_PATIENCE} schedules did not find it")
