"""Claims: one holder at a time, by the word of the journal and of this host."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from kernels import Kernel
from writing import filled, plan

from lepton_sdk._engine.claims.holder import is_alive, is_here, this_process
from lepton_sdk._journal import Journal

_HOURS = timedelta(hours=3)
OpenJournal = Callable[..., Journal]


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


def _write_until(journal: Journal, run: str, ahead: timedelta) -> None:
    """Put the end of a claim somewhere else, as a clock that was wrong when it was written would have."""
    with journal._store.transaction() as execute:
        until = (journal._store.now(journal._clock) + ahead).isoformat()
        execute("UPDATE claims SET until = ? WHERE run = ?", (until, run))


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
