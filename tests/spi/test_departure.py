"""Whether a create call has left, as far as anybody can know; and a call that was taken back never leaves."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

from lepton_sdk.spi.departure import Departure, Withdrawn


def test_without_anybody_who_notes_it_a_call_counts_as_left() -> None:
    untracked = Departure(tracked=lambda: False)
    assert untracked.left
    assert not untracked.withdraw()


def test_a_request_that_certainly_did_not_go_has_not_left() -> None:
    departure, request = Departure(), object()
    assert not departure.left
    departure.out(request)
    assert departure.left
    departure.back(request)
    assert not departure.left


def test_one_of_several_requests_is_enough() -> None:
    departure = Departure()
    departure.out("a")
    departure.out("b")
    departure.back("a")
    assert departure.left


def test_a_mark_is_not_taken_back() -> None:
    departure = Departure()
    departure.mark()
    departure.back("anything")
    assert departure.left
    assert not departure.withdraw()


def test_what_was_taken_back_never_leaves_and_what_waits_in_it_is_cancelled() -> None:
    departure, cancelled = Departure(), list[int]()
    departure.cancelled_by(lambda: cancelled.append(1))
    assert departure.withdraw()
    assert (departure.withdrawn, cancelled) == (True, [1])
    for leave in (departure.mark, lambda: departure.out("a")):
        with pytest.raises(Withdrawn):
            leave()
    assert not departure.left


def test_whoever_comes_after_it_was_taken_back_is_cancelled_at_once() -> None:
    departure, cancelled = Departure(), list[int]()
    departure.withdraw()
    departure.cancelled_by(lambda: cancelled.append(1))
    assert cancelled == [1]


def test_of_a_call_that_leaves_and_a_word_that_takes_it_back_one_is_first() -> None:
    for _ in range(200):
        departure, both, left = Departure(), Barrier(2), list[bool]()

        def leave(departure: Departure = departure, both: Barrier = both, left: list[bool] = left) -> None:
            both.wait()
            try:
                departure.mark()
            except Withdrawn:
                left.append(False)
            else:
                left.append(True)

        thread = Thread(target=leave)
        thread.start()
        both.wait()
        withdrawn = departure.withdraw()
        thread.join()
        assert left == [not withdrawn]
