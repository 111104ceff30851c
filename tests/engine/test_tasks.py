"""Work that goes on at the same time: no error of one piece cuts another one off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lepton_sdk._engine.tasks import Workers, gather_all

RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]


async def value(what: int, when: asyncio.Event | None = None) -> int:
    if when is not None:
        await when.wait()
    return what


async def fail(words: str) -> int:
    raise ValueError(words)


def test_answers_come_in_the_order_of_the_questions(run_async: RunAsync) -> None:
    async def main() -> list[int]:
        later = asyncio.Event()
        asyncio.get_running_loop().call_soon(later.set)
        return await gather_all(value(1, later), value(2), value(3))

    assert run_async(main()) == [1, 2, 3]
    assert run_async(gather_all(value(4))) == [4]


def test_the_first_error_comes_once_everything_has_ended(run_async: RunAsync) -> None:
    done: list[int] = []

    async def slow() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.append(1)
        return 1

    with pytest.raises(ValueError, match="one"):
        run_async(gather_all(fail("one"), slow(), fail("two")))
    assert done == [1]


def test_what_has_ended_is_handed_out_while_the_rest_goes_on(run_async: RunAsync) -> None:
    async def main() -> None:
        workers, never = Workers[int](), asyncio.Event()
        workers.begin("a", value(1))
        workers.begin("b", value(2, never))
        assert "a" in workers
        assert await workers.some(60) == [1]
        assert "a" not in workers
        assert "b" in workers
        assert await workers.some(0) == []
        await workers.stop()
        assert not workers

    run_async(main())


def test_what_was_broken_off_is_no_error_and_what_must_end_ends(run_async: RunAsync) -> None:
    async def main() -> None:
        workers, later = Workers[int](), asyncio.Event()
        workers.begin("a", value(1, asyncio.Event()))
        workers.begin("b", value(2, later), to_the_end=True)
        await asyncio.sleep(0)
        workers.break_off()
        assert await workers.some(60) == [None]
        later.set()
        assert await workers.some(60) == [2]

    run_async(main())


def test_an_error_waits_for_the_others(run_async: RunAsync) -> None:
    async def main() -> None:
        workers, later = Workers[int](), asyncio.Event()
        workers.begin("a", fail("no answer"))
        workers.begin("b", value(2, later))
        asyncio.get_running_loop().call_later(0.01, later.set)
        with pytest.raises(ValueError, match="no answer"):
            await workers.some(0)
        # The other one has come to its end, and nothing is left to wait for.
        assert later.is_set()
        assert not workers

    run_async(main())


def test_a_piece_of_work_that_cancels_itself_cancels_whoever_waits_for_it(run_async: RunAsync) -> None:
    async def cancelled() -> int:
        raise asyncio.CancelledError

    async def main() -> None:
        workers = Workers[int]()
        workers.begin("a", cancelled())
        with pytest.raises(asyncio.CancelledError):
            await workers.some(60)

    run_async(main())
