"""One background event loop per synchronous client: started once, stopped with it, and made anew after a fork."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

__all__ = ["Portal"]

_T = TypeVar("_T")
_END = object()


class Portal:
    """Runs coroutines of one asynchronous client from ordinary code, also inside a running event loop (a notebook)."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._starting = threading.Lock()

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run to the end and give the result. An interrupt cancels the coroutine and waits until it has tidied up."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return future.result()
        except BaseException:
            if not future.done() and future.cancel():
                self._drain()
            raise

    def iterate(self, items: AsyncIterator[_T]) -> Iterator[_T]:
        """An asynchronous iterator as an ordinary one; closing it early closes the other."""
        try:
            while (item := self.call(_next(items))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and self._loop is not None:
                self.call(close())

    def close(self) -> None:
        """Stop the loop and its thread."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        # A thread does not survive a fork: the child makes its own, and a lock that it did not take.
        if self._pid != os.getpid():
            self._starting = threading.Lock()
            self._loop = None
            self._pid = os.getpid()
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="lepton-sdk", daemon=True)
                self._thread.start()
            return self._loop

    def _drain(self) -> None:
        """Give cancelled tasks the time to run their clean-up."""
        asyncio.run_coroutine_threadsafe(_settle(), self._running()).result()


async def _next(items: AsyncIterator[_T]) -> _T | object:
    return await anext(items, _END)


async def _settle() -> None:
    me = asyncio.current_task()
    rest = [task for task in asyncio.all_tasks() if task is not me and task.cancelling()]
    if rest:
        await asyncio.wait(rest)
