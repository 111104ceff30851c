"""One transaction: legal rows alone, and caps held in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from writing import NOW, filled, intend, plan

from lepton_sdk import Money
from lepton_sdk._journal import Journal
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import event_of
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import BudgetExceeded, ContractViolation


def test_a_row_that_is_not_legal_is_refused_and_nothing_of_its_group_stays(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    (run,) = filled(journal, 1)
    with pytest.raises(ContractViolation):
        journal.append(
            event_of("node.unknown", run, NOW, "token-0"),
            event_of("node.running", run, NOW, "token-0", {"epoch": 1}),
        )
    assert journal.run(run).current.stage is Stage.INTENDED  # type: ignore[union-attr]
    assert journal.verify() == 2


def test_two_clients_cannot_both_pass_a_cap(open_journal: Callable[..., Journal]) -> None:
    """Each machine costs 24 an hour: of eight that want one at the same moment, two can be paid from 50."""
    journals = [open_journal() for _ in range(8)]
    runs = [new_id(NOW + timedelta(seconds=number), os.urandom(6)) for number in range(8)]
    for journal, run in zip(journals, runs, strict=True):
        journal.append(plan(run))
    barrier = Barrier(8)

    def want(number: int) -> bool:
        barrier.wait()
        try:
            journals[number].append(intend(runs[number], f"t{number}"), caps=Caps(Money("50")))
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(want, range(8))) == 2
    assert journals[0].verify() == 10


def test_what_was_given_back_makes_room_under_the_cap(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    first, second = filled(journal, 2)[0], new_id(NOW + timedelta(seconds=9), os.urandom(6))
    journal.append(plan(second))
    with pytest.raises(BudgetExceeded, match=r"\$72.00 an hour, above the cap of \$48.00"):
        journal.append(intend(second, "late"), caps=Caps(Money("48")))
    journal.append(event_of("node.released", first, NOW, "token-0"))
    assert journal.append(intend(second, "late"), caps=Caps(Money("48"))).current is not None
