"""Journals of one host: of one process each, under a clock that stands still or under the host's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from kernels import Kernel, ProcessClock
from writing import FixedClock

from lepton_sdk._journal import Journal
from lepton_sdk._journal.store import Place

OpenJournal = Callable[..., Journal]


@pytest.fixture
def open_journal(place: Place) -> Iterator[Callable[..., Journal]]:
    opened: list[Journal] = []

    def make(*, writable: bool = True) -> Journal:
        opened.append(Journal(place, FixedClock(), writable=writable))
        return opened[-1]

    yield make
    for journal in opened:
        journal.close()


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def process(place: Place, kernel: Kernel) -> Iterator[OpenJournal]:
    """The journal as a new process of the host has it."""
    opened: list[Journal] = []

    def open_one(off: timedelta = timedelta()) -> Journal:
        opened.append(Journal(place, ProcessClock(kernel, off)))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()
