"""A clock that is wrong for a moment locks nothing: not the claims, not the times of what is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from kernels import Kernel
from writing import NOW, intend, plan

from lepton_sdk._journal import Journal
from lepton_sdk.domain.events import event_of

_HOURS = timedelta(hours=3)
OpenJournal = Callable[..., Journal]


def at(journal: Journal) -> datetime:
    return journal._clock.now()


@pytest.mark.parametrize("off", [_HOURS, -_HOURS])
def test_all_processes_of_a_boot_agree_whatever_their_wall_clocks_say(
    process: OpenJournal, kernel: Kernel, off: timedelta
) -> None:
    first = process()
    first.append(plan("r"))
    kernel.passes(50)
    wrong = process(off)
    assert at(wrong) == at(first) == NOW + timedelta(seconds=50)
    assert wrong.moved() == pytest.approx(off.total_seconds())
    kernel.off = off
    assert at(process()) == at(first)
    assert first.moved() == pytest.approx(off.total_seconds())


def test_a_wrong_anchor_heals_when_nothing_is_open(process: OpenJournal, kernel: Kernel) -> None:
    idle = process()
    wrong = process(_HOURS)
    wrong.renew_time()
    wrong.append(plan("r"))
    assert at(wrong) == NOW + _HOURS
    # While its run is open, everybody goes by the time that it began by.
    right = process()
    right.renew_time()
    assert at(right) == NOW + _HOURS
    # Also a process that was open before, as soon as it acts.
    assert idle.claim("r", "me", 60, lambda _: True) == 1
    assert at(idle) == NOW + _HOURS
    right.append(event_of("run.finished", "r", NOW, None, {"state": "stopped"}))
    assert right.moved() == 0
    right.renew_time()
    assert at(right) == NOW
    assert at(process()) == NOW


def test_another_boot_believes_its_wall_clock_but_never_goes_back_while_something_is_open(
    process: OpenJournal, kernel: Kernel
) -> None:
    first = process()
    first.append(plan("r"))
    newest = first.events("r")[-1].at
    # Nobody has set the clock yet that this host has booted with.
    kernel.boots("second")
    again = process(-_HOURS)
    assert at(again) == newest
    assert again.moved() < -60
    again.append(event_of("run.finished", "r", newest, None, {"state": "stopped"}))
    kernel.boots("third")
    assert at(process(-_HOURS)) == NOW - _HOURS


def test_a_node_that_is_open_keeps_the_time_of_its_ended_run(process: OpenJournal, kernel: Kernel) -> None:
    journal = process()
    journal.append(plan("r"))
    journal.append(intend("r", "t"))
    journal.append(event_of("node.unresolved", "r", NOW, "t"))
    journal.append(event_of("run.finished", "r", NOW, None, {"state": "refused"}))
    kernel.off = _HOURS
    assert journal.moved() == _HOURS.total_seconds()
    journal.renew_time()
    assert at(journal) == NOW
