"""Many coroutines write at once: the loop goes on, commits are shared, and each caller hears of its own rows alone."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from writing import NOW, FixedClock, filled, intend, plan

from lepton_sdk import Money
from lepton_sdk._journal import Journal
from lepton_sdk._journal.store import Execute, Place
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import event_of
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import BudgetExceeded, ContractViolation, JournalCorrupt, JournalError

RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def journal(place: Place) -> Iterator[Journal]:
    opened = Journal(place, FixedClock())
    yield opened
    opened.close()


def new_run(number: int) -> str:
    return new_id(NOW + timedelta(seconds=number), os.urandom(6))


class Disk:
    """Counts the journal's commits, and keeps one on its way for as long as a test wants."""

    def __init__(self, journal: Journal) -> None:
        self.commits = 0
        self.free = threading.Event()
        self.busy = threading.Event()
        self.free.set()
        self._honest = journal._store.transaction
        journal._store.transaction = self._transaction  # type: ignore[method-assign]

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        with self._honest() as execute:
            yield execute
            self.busy.set()
            assert self.free.wait(60)
        self.commits += 1


async def becomes(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.001)


def test_what_waits_for_the_disk_shares_the_next_commit_and_the_loop_goes_on(journal: Journal, run_async: RunAsync) -> None:
    disk = Disk(journal)
    disk.free.clear()

    async def main() -> list[Run]:
        first = asyncio.create_task(journal.write(plan(new_run(0))))
        # The commit is on its way in the other thread, and this line is reached all the same.
        await becomes(disk.busy.is_set)
        others = [asyncio.create_task(journal.write(plan(new_run(number)))) for number in range(1, 51)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in (first, *others))
        assert journal._store.query("SELECT count(*) FROM events") == [(0,)]
        disk.free.set()
        return await asyncio.gather(first, *others)

    assert len(run_async(main())) == 51
    assert disk.commits == 2
    assert journal.verify() == 51


def test_one_that_is_refused_hinders_no_other_of_its_commit(journal: Journal, run_async: RunAsync) -> None:
    disk = Disk(journal)
    first, second = filled(journal, 2)
    third = new_run(9)
    journal.append(plan(third))
    disk.free.clear()

    async def main() -> list[Any]:
        begun = asyncio.create_task(journal.write(plan(new_run(10))))
        await becomes(disk.busy.is_set)
        writes = [
            journal.write(event_of("node.running", first, NOW, "token-0", {"epoch": 1})),
            journal.write(event_of("node.unknown", second, NOW, "token-1")),
            journal.write(intend(third, "dear"), caps=Caps(Money("50"))),
            journal.write(event_of("node.released", second, NOW, "token-1")),
            journal.write(intend(third, "now payable"), caps=Caps(Money("50"))),
        ]
        tasks = [asyncio.create_task(write) for write in writes]
        await asyncio.sleep(0)
        disk.free.set()
        await begun
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = run_async(main())
    assert [type(answer) for answer in answers] == [ContractViolation, Run, BudgetExceeded, Run, Run]
    assert journal.run(first).current.stage is Stage.INTENDED  # type: ignore[union-attr]
    assert journal.run(second).current.stage is Stage.RELEASED  # type: ignore[union-attr]
    assert [node.token for node in journal.run(third).nodes] == ["now payable"]
    journal.verify()


def test_caps_hold_within_one_commit_too(journal: Journal, run_async: RunAsync) -> None:
    runs = [new_run(number) for number in range(20)]
    for run in runs:
        journal.append(plan(run))

    async def main() -> list[Any]:
        wanted = (journal.write(intend(run, f"t-{run}"), caps=Caps(Money("100"))) for run in runs)
        return await asyncio.gather(*wanted, return_exceptions=True)

    answers = run_async(main())
    assert sum(isinstance(answer, Run) for answer in answers) == 4


def test_the_rows_of_a_run_keep_their_order_and_listeners_hear_them_in_it(journal: Journal, run_async: RunAsync) -> None:
    heard: list[tuple[str, str]] = []
    journal.listen(lambda event: heard.append((event.run, event.kind)))

    async def one(number: int) -> str:
        run = new_run(number)
        await journal.write(plan(run))
        await journal.write(intend(run, f"t{number}"))
        await journal.write(event_of("node.unknown", run, NOW, f"t{number}"))
        return run

    async def main() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(30)))

    for run in run_async(main()):
        kinds = ["run.planned", "node.intended", "node.unknown"]
        assert [event.kind for event in journal.events(run)] == kinds
        assert [kind for other, kind in heard if other == run] == kinds


def test_a_cancelled_caller_leaves_when_its_row_is_certain(journal: Journal, run_async: RunAsync) -> None:
    disk = Disk(journal)
    disk.free.clear()
    run, heard = new_run(1), list[str]()
    journal.listen(lambda event: heard.append(event.run))

    async def main() -> None:
        task = asyncio.create_task(journal.write(plan(run)))
        await becomes(disk.busy.is_set)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        disk.free.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert journal.run(run).id == run
        # The row stands, so those who listen are told of it.
        assert heard == [run]

    run_async(main())


def test_everybody_who_waited_hears_that_nothing_was_written(journal: Journal, run_async: RunAsync) -> None:
    honest = journal._store.transaction

    @contextmanager
    def full() -> Iterator[Execute]:
        with honest():
            # A disk that is full would be waited for.
            raise JournalCorrupt("the disk has rotted")
            yield

    journal._store.transaction = full  # type: ignore[method-assign]

    async def main() -> list[Any]:
        return await asyncio.gather(*(journal.write(plan(new_run(n))) for n in range(5)), return_exceptions=True)

    answers = run_async(main())
    assert all(isinstance(answer, JournalError) for answer in answers)
    assert journal.runs() == []


def test_closing_writes_what_waits(place: Place, run_async: RunAsync) -> None:
    journal = Journal(place, FixedClock())

    async def main() -> None:
        tasks = [asyncio.create_task(journal.write(plan(new_run(number)))) for number in range(20)]
        await asyncio.sleep(0)
        await asyncio.to_thread(journal.close)
        await asyncio.gather(*tasks)

    run_async(main())
    again = Journal(place, FixedClock())
    assert again.verify() == 20
    again.close()
