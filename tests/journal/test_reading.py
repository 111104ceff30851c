"""What is asked of the journal: which run a name means, and which runs stand where."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from writing import NOW, filled, intend, plan

from lepton_sdk._journal import Journal
from lepton_sdk.domain.events import NodeGivenUp, RunFinished, RunPlanned, StopRequested
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import UsageError

OpenJournal = Callable[..., Journal]
A, B, C = "am8fzm4m1yz9cta20m", "am8fzm4m1yz9cta20n", "am8fzm5bsn4av3d5ap"


def planned(journal: Journal, run: str, name: str) -> None:
    journal.append(RunPlanned(Job("true", name=name)).stamped(run, NOW))


def ended(journal: Journal, run: str) -> None:
    journal.append(RunFinished("stopped").stamped(run, NOW))


def test_a_name_goes_before_the_beginning_of_an_id_and_an_open_run_before_the_newest(open_journal: OpenJournal) -> None:
    journal = open_journal()
    for run, name in ((A, "twice"), (B, "twice"), (C, A[:8])):
        planned(journal, run, name)
    assert journal.resolve(A) == A
    assert journal.resolve(A[:8]) == C
    ended(journal, B)
    assert journal.resolve("twice") == A
    ended(journal, A)
    assert journal.resolve("twice") == B


def test_a_name_that_means_several_runs_lists_them(open_journal: OpenJournal) -> None:
    journal = open_journal()
    for run in (A, B):
        planned(journal, run, "twice")
    with pytest.raises(UsageError, match=f"names several runs: {B}, {A}") as caught:
        journal.resolve("twice")
    assert caught.value.hint == "name it by its id"
    with pytest.raises(UsageError, match="names several runs"):
        journal.resolve(A[:8])
    assert journal.resolve(A[:-1] + "m") == A


@pytest.mark.parametrize("text", ["zzzz", "%", "____", "am8%", "am8"])
def test_what_means_nothing_is_told(text: str, open_journal: OpenJournal) -> None:
    journal = open_journal()
    planned(journal, A, "digits")
    with pytest.raises(UsageError, match="no run is called"):
        journal.resolve(text)
    for empty in ("", " "):
        with pytest.raises(UsageError, match="this name is empty"):
            journal.resolve(empty)


def test_runs_come_newest_first_and_as_many_as_were_asked_for(open_journal: OpenJournal) -> None:
    journal = open_journal()
    ids = filled(journal, 4)
    assert [run.id for run in journal.runs(limit=2)] == ids[:1:-1]
    assert journal.runs_at("fake", Stage.INTENDED) != []
    assert journal.runs_at("fake", Stage.RUNNING) == journal.runs_at("another", Stage.INTENDED) == []


def test_what_was_given_up_is_open_no_more_and_still_found(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.append(plan("r"), intend("r", "t"))
    assert journal.providers_with_open_nodes() == ["fake"]
    journal.append(NodeGivenUp("closed").about("t").stamped("r", NOW))
    assert journal.providers_with_open_nodes() == []
    assert [run.id for run in journal.given_up()] == ["r"]


def test_stops_are_counted_so_that_a_second_one_is_heard(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.append(RunPlanned(Job("true")).stamped("r", NOW))
    for count in (1, 2):
        journal.append(StopRequested().stamped("r", NOW))
        assert journal.stops("r") == count
