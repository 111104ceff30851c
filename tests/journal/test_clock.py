"""A clock that is wrong for a moment locks nothing: not the claims, not the times of what is open."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from writing import NOW, intend, plan

from lepton_sdk._clock import Anchor, SteadyClock
from lepton_sdk._engine.claims.holder import in_words, is_alive, is_here, this_process
from lepton_sdk._journal import Journal
from lepton_sdk.domain.events import event_of
from lepton_sdk.spi.secret import Secret

_HOURS = timedelta(hours=3)


class Kernel:
    """What a host's kernel knows: the time since boot, and a wall clock that anybody may set."""

    def __init__(self) -> None:
        self.boot, self.elapsed, self.off, self.time = "first", 100.0, timedelta(), NOW

    def passes(self, seconds: float) -> None:
        self.elapsed += seconds
        self.time += timedelta(seconds=seconds)

    def boots(self, name: str) -> None:
        self.boot, self.elapsed = name, 1.0


class ProcessClock(SteadyClock):
    """The clock of one process of a host; ``off`` is what this process alone is told wrongly."""

    def __init__(self, kernel: Kernel, off: timedelta = timedelta()) -> None:
        self.kernel, self.off = kernel, off
        super().__init__()

    def wall(self) -> datetime:
        return self.kernel.time + self.off + self.kernel.off

    def monotonic(self) -> float:
        return self.kernel.elapsed

    def _boot(self) -> str:  # type: ignore[override]
        return self.kernel.boot

    def _beside_the_kernel(self) -> float:
        return 0.0


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


OpenJournal = Callable[..., Journal]


@pytest.fixture
def process(place: Path | Secret, kernel: Kernel) -> Iterator[OpenJournal]:
    """The journal as a new process of the host has it."""
    opened: list[Journal] = []

    def open_one(off: timedelta = timedelta()) -> Journal:
        opened.append(Journal(place, ProcessClock(kernel, off)))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


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


def test_what_was_let_go_is_free_whatever_time_stands_beside_it(process: OpenJournal) -> None:
    journal = process()
    journal.append(plan("r"))
    epoch = journal.claim("r", "one", 60, lambda _: True)
    assert epoch == 1
    journal.let_go("r", "one", 1)
    _write_until(journal, "r", timedelta(hours=3))
    assert not journal.is_held("r", 60, lambda _: True, lambda _: True)
    assert journal.claim("r", "two", 60, lambda _: True) == 2


def test_a_claim_that_lies_far_ahead_is_believed_for_one_claim_of_waiting(process: OpenJournal, kernel: Kernel) -> None:
    journal = process()
    journal.append(plan("r"))
    journal.claim("r", "elsewhere/boot/1/1/x", 60, lambda _: True)
    _write_until(journal, "r", timedelta(hours=3))
    assert journal.claim("r", "two", 60, lambda _: True) is None
    kernel.passes(59)
    assert journal.claim("r", "two", 60, lambda _: True) is None
    kernel.passes(2)
    assert journal.claim("r", "two", 60, lambda _: True) == 2


def test_a_holder_that_lives_here_keeps_its_claim_while_it_renews_it(process: OpenJournal, kernel: Kernel) -> None:
    """The server's clock jumps, so that every claim looks as if it had run out."""
    journal, me = process(), this_process("nonce")
    journal.append(plan("r"))
    journal.claim("r", me, 60, is_alive)
    for _ in range(10):
        _write_until(journal, "r", -_HOURS)
        kernel.passes(15)
        assert journal.claim("r", "another", 60, is_alive, here=is_here) is None
        journal.renew_all(me, 60)
    # It is stopped, and renews nothing any more.
    _write_until(journal, "r", -_HOURS)
    assert journal.claim("r", "another", 60, is_alive, here=is_here) is None
    kernel.passes(31)
    assert journal.claim("r", "another", 60, is_alive, here=is_here) == 2


def test_a_claim_of_our_own_that_was_left_is_taken_again(process: OpenJournal) -> None:
    journal = process()
    journal.append(plan("r"))
    assert journal.claim("r", "me", 60, lambda _: True) == 1
    assert journal.claim("r", "me", 60, lambda _: True) == 2


def test_the_words_for_a_holder_name_its_process_and_host() -> None:
    assert in_words(this_process("x")) == f"process {os.getpid()} on host {socket.gethostname()}"
    assert is_here(this_process("x"))
    assert not is_here("elsewhere/boot/1/1/x")


def test_the_real_clock_follows_the_kernel_and_not_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    if not clock.boot:
        pytest.skip("this platform does not name its boots")
    before = clock.now()
    monkeypatch.setattr(SteadyClock, "wall", lambda _: before + _HOURS)
    assert abs((clock.now() - before).total_seconds()) < 60
    assert clock.moved() == pytest.approx(_HOURS.total_seconds(), abs=60)
    assert Anchor.from_text(clock.anchor.to_text()) == clock.anchor
    assert Anchor.from_text("{}") is None


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


def _write_until(journal: Journal, run: str, ahead: timedelta) -> None:
    """Put the end of a claim somewhere else, as a clock that was wrong when it was written would have."""
    with journal._store.transaction() as execute:
        until = (journal._store.now(journal._clock) + ahead).isoformat()
        execute("UPDATE claims SET until = ? WHERE run = ?", (until, run))
