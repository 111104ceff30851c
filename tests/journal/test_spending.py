"""What counts under a cap over a period."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve
from writing import NOW, intend, plan

from lepton_sdk import Money
from lepton_sdk._journal import Journal
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent, event_of
from lepton_sdk.domain.ids import new_id
from lepton_sdk.errors import BudgetExceeded


def test_the_cap_of_a_period_sees_what_others_have_written_since(open_journal: Callable[..., Journal]) -> None:
    """Every hold remembers the runs that it has read; a machine of another client, or one that was given back, changes them."""
    ours, theirs = open_journal(), open_journal()
    caps = Caps(total=Money("50"))
    ids = [new_id(NOW, bytes([0, 0, 0, 0, 0, number])) for number in range(4)]
    for run in ids:
        ours.append(plan(run))

    def bounded(run: str, token: str) -> AnyEvent:
        row = intend(run, token)
        return evolve(row, lasts=3600.0)

    # Each costs 24 at most.
    ours.append(bounded(ids[0], "a"), caps=caps)
    theirs.append(bounded(ids[1], "b"), caps=caps)
    with pytest.raises(BudgetExceeded, match="above the cap"):
        ours.append(bounded(ids[2], "c"), caps=caps)
    theirs.append(event_of("node.released", ids[1], NOW, "b"))
    ours.append(bounded(ids[2], "c"), caps=caps)
    with pytest.raises(BudgetExceeded, match="above the cap"):
        theirs.append(bounded(ids[3], "d"), caps=caps)
