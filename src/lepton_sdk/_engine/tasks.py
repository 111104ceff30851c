"""Pieces of work that go on at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["Workers", "end_all", "gather_all"]

_T = TypeVar("_T")


async def gather_all(*work: Coroutine[Any, Any, _T]) -> list[_T]:
    """What each piece of work gave, in order.

    Raises:
        Exception: the first error, once everything has ended: a node that cannot be asked must not keep the others of its
            run from being released.
    """
    if len(work) == 1:
        return [await work[0]]
    answers = await asyncio.gather(*work, return_exceptions=True)
    results: list[_T] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        results.append(answer)
    return results


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel pieces of work, and wait until each has ended, whatever it ends with."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


class Workers(Generic[_T]):
    """What is going on, by node. A long piece of work on one node keeps none of the others waiting."""

    def __init__(self) -> None:
        self._going: dict[str, asyncio.Task[_T]] = {}
        self._kept: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether something is going on there."""
        return name in self._going

    def __bool__(self) -> bool:
        """Whether anything is going on anywhere."""
        return bool(self._going)

    def begin(self, name: str, work: Coroutine[Any, Any, _T], *, to_the_end: bool = False) -> None:
        """Begin a piece of work; the one before it on the same node has ended.

        Args:
            to_the_end: `break_off` leaves it alone.
        """
        self._going[name] = asyncio.create_task(work)
        if to_the_end:
            self._kept.add(name)

    def break_off(self) -> None:
        """Cancel everything that need not come to its end."""
        for name, task in self._going.items():
            if name not in self._kept and not task.cancelling():
                task.cancel()

    async def some(self, seconds: float) -> list[_T | None]:
        """What has ended, waiting for the first of it, or for so many seconds; ``None`` for what was broken off.

        Raises:
            Exception: the first error, once everything has ended: a node that cannot be asked must not cut off what is
                being done on the others of its run.
        """
        done, _ = await asyncio.wait(self._going.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if any(not task.cancelled() and task.exception() for task in done):
            done, _ = await asyncio.wait(self._going.values())
        ended = [task for task in self._going.values() if task in done]
        self._going = {name: task for name, task in self._going.items() if task not in done}
        self._kept &= set(self._going)
        # All of them are asked, because an error that nobody asked for is logged as one that got lost.
        errors = [None if task.cancelled() else task.exception() for task in ended]
        if error := next(filter(None, errors), None):
            raise error
        if any(task.cancelled() and not task.cancelling() for task in ended):
            raise asyncio.CancelledError
        return [None if task.cancelled() else task.result() for task in ended]

    async def stop(self) -> None:
        """Break everything off."""
        await end_all(self._going.values())
        self._going.clear()
