"""Work that goes on at the same time: `gather_all` waits for all, `Workers` keeps one task for each node."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["Workers", "end_all", "gather_all"]

_T = TypeVar("_T")


async def gather_all(*work: Coroutine[Any, Any, _T]) -> list[_T]:
    """The results of all coroutines, in order.

    Raises:
        Exception: the first error, once all have ended: a node that cannot be asked must not keep the other nodes of its
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
    """Cancel tasks, and wait until each has ended, with a result or an error."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


class Workers(Generic[_T]):
    """The tasks that go on, by node. A long task on one node does not make the others wait."""

    def __init__(self) -> None:
        self._going: dict[str, asyncio.Task[_T]] = {}
        self._kept: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Return True if a task goes on for this node."""
        return name in self._going

    def __bool__(self) -> bool:
        """Return True if any task goes on."""
        return bool(self._going)

    def begin(self, name: str, work: Coroutine[Any, Any, _T], *, to_the_end: bool = False) -> None:
        """Begin a task. The one before it on the same node must have ended.

        Args:
            to_the_end: `break_off` does not cancel it.
        """
        self._going[name] = asyncio.create_task(work)
        if to_the_end:
            self._kept.add(name)

    def break_off(self) -> None:
        """Cancel every task that was not begun with ``to_the_end``."""
        for name, task in self._going.items():
            if name not in self._kept and not task.cancelling():
                task.cancel()

    async def some(self, seconds: float) -> list[_T | None]:
        """Wait for the first task to end, at most ``seconds``; the results of those that ended, ``None`` for a cancelled one.

        Raises:
            Exception: the first error, once all have ended: a node that cannot be asked must not cut off the work on the
                other nodes of its run.
        """
        done, _ = await asyncio.wait(self._going.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if any(not task.cancelled() and task.exception() for task in done):
            done, _ = await asyncio.wait(self._going.values())
        ended = [task for task in self._going.values() if task in done]
        self._going = {name: task for name, task in self._going.items() if task not in done}
        self._kept &= set(self._going)
        # Read every task's exception, because asyncio logs an exception that nobody has read.
        errors = [None if task.cancelled() else task.exception() for task in ended]
        if error := next(filter(None, errors), None):
            raise error
        if any(task.cancelled() and not task.cancelling() for task in ended):
            raise asyncio.CancelledError
        return [None if task.cancelled() else task.result() for task in ended]

    async def stop(self) -> None:
        """Cancel all tasks and wait for their ends."""
        await end_all(self._going.values())
        self._going.clear()
