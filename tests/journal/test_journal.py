"""The journal, in a file and in a database: durable, append-only, and made again from its rows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from attrs import evolve
from writing import NOW, FixedClock, filled, intend, plan

from lepton_sdk import Money
from lepton_sdk._journal import Journal
from lepton_sdk._journal.store import Place
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent, event_of
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import BudgetExceeded, ContractViolation, JournalCorrupt, JournalError


@pytest.fixture
def open_journal(place: Place) -> Iterator[Callable[..., Journal]]:
    opened: list[Journal] = []

    def make(*, writable: bool = True) -> Journal:
        opened.append(Journal(place, FixedClock(), writable=writable))
        return opened[-1]

    yield make
    for journal in opened:
        journal.close()


def test_what_was_written_is_read_again_by_another_object(open_journal: Callable[..., Journal]) -> None:
    first = open_journal()
    ids = filled(first)
    second = open_journal(writable=False)
    assert [run.id for run in second.runs()] == ids[::-1]
    assert second.owner == first.owner
    assert [event.kind for event in second.events(ids[0])] == ["run.planned", "node.intended"]
    assert second.providers_with_open_nodes() == ["fake"]
    assert second.verify() == 6


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


def test_rows_can_be_neither_changed_nor_removed(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    filled(journal)
    for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
        with pytest.raises(JournalError, match="append-only"), journal._store.transaction() as execute:
            execute(statement)
    assert journal.verify() == 6


def test_a_changed_record_is_never_read_as_truth(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    (run,) = filled(journal, 1)
    with journal._store.transaction() as execute:
        execute("UPDATE runs SET record = replace(record, 'true', 'evil')")
    for ask in (lambda: journal.run(run), journal.runs, journal.verify):
        with pytest.raises(JournalCorrupt, match="checksum"):
            ask()


def test_two_processes_write_one_journal(where: str, place: Place, tmp_path: Path) -> None:
    script = (
        "import sys, os; from datetime import datetime, UTC;"
        "from lepton_sdk._config import load_config; from lepton_sdk._engine.engine import Engine;"
        "from lepton_sdk.domain.events import event_of;"
        "s = Engine(load_config(state=sys.stdin.read(), cache='cache'));"
        "[s.journal.append(event_of('run.planned', s.new_id(), datetime.now(UTC), None,"
        " {'job': {'command': 'true'}})) for _ in range(50)]; print(s.journal.owner)"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": tmp_path}
    processes = [subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(where)
        process.stdin.close()
        process.stdin = None
    owners = {process.communicate(timeout=60)[0] for process in processes}
    assert len(owners) == 1
    journal = Journal(place, FixedClock())
    assert journal.verify() == 150
    journal.close()


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


def test_one_of_many_gets_the_claim_and_its_epoch_only_grows(open_journal: Callable[..., Journal]) -> None:
    journals = [open_journal() for _ in range(6)]
    (run,) = filled(journals[0], 1)
    barrier = Barrier(6)

    def take(number: int) -> int | None:
        barrier.wait()
        return journals[number].claim(run, f"holder {number}", 60, lambda _: True)

    with ThreadPoolExecutor(6) as pool:
        epochs = list(pool.map(take, range(6)))
    (winner,) = [number for number, epoch in enumerate(epochs) if epoch is not None]
    assert epochs[winner] == 1
    assert journals[0].renew_all(f"holder {winner}", 60) == {run: 1}
    # One that is certainly dead loses it at once, and can neither renew nor win it back by its old number.
    assert journals[0].claim(run, "heir", 60, lambda _: False) == 2
    assert journals[winner].renew_all(f"holder {winner}", 60) == {}
    journals[winner].let_go(run, f"holder {winner}", 1)
    assert journals[winner].holder(run)[0] == "heir"  # type: ignore[index]


def test_a_claim_that_ran_out_is_free(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    (run,) = filled(journal, 1)
    assert journal.claim(run, "first", -1, lambda _: True) == 1
    assert journal.claim(run, "second", 60, lambda _: True) == 2


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
