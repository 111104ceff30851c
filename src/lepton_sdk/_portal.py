"""One background event loop per synchronous client: starts on first use, stops with the client, restarts after a fork."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from lepton_sdk.errors import UsageError

__all__ = ["Portal"]

_T = TypeVar("_T")
_END = object()
_SETTLE_SECONDS = 1.0


class Portal:
    """Runs the coroutines of one asynchronous client from synchronous code, also inside a running event loop (a notebook)."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._starting = threading.Lock()

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end and return the result. An interrupt cancels it and waits for its clean-up.

        Notes on the coroutine's own error are added to the interrupt as well.
        """
        if self._is_ours():
            coroutine.close()
            raise UsageError(
                "a client cannot be called from a callback of its own: the call would wait for itself",
                hint="use AsyncClient, another client, or another thread",
            )
        work = _Work(coroutine)
        future = asyncio.run_coroutine_threadsafe(work.result(), self._running())
        try:
            return future.result()
        except BaseException as error:
            if not future.done():
                self._end(work)
                for note in work.notes:
                    error.add_note(note)
            raise

    def iterate(self, items: AsyncIterator[_T]) -> Iterator[_T]:
        """An asynchronous iterator as a synchronous one; closing it early closes the asynchronous one."""
        try:
            while (item := self.call(_next(items))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and self._loop is not None:
                self.call(close())

    def end_calls(self) -> None:
        """Cancel the calls of other threads, and wait for their end."""
        if self._loop is not None and self._pid == os.getpid() and not self._is_ours():
            asyncio.run_coroutine_threadsafe(_ended(), self._loop).result()

    def close(self) -> None:
        """Stop the loop and its thread."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(_settled(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _is_ours(self) -> bool:
        """Whether this is the loop's own thread, in a callback."""
        return threading.current_thread() is self._thread and self._pid == os.getpid()

    def _running(self) -> asyncio.AbstractEventLoop:
        # A thread does not survive a fork: the child creates its own thread, and a fresh lock.
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

    def _end(self, work: _Work[Any]) -> None:
        """Cancel work and wait for its end. A second interrupt cancels it again: the work may still be stopping its run."""
        loop = self._running()
        while not work.over.is_set():
            loop.call_soon_threadsafe(work.cancel)
            try:
                work.over.wait()
            except KeyboardInterrupt:
                continue


class _Work(Generic[_T]):
    """A coroutine that another thread waits for.

    Attributes:
        notes: the notes on its error.
        over: set when it has ended.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self.notes: list[str] = []
        self.over = threading.Event()

    async def result(self) -> _T:
        self._task = asyncio.current_task()
        try:
            return await self._coroutine
        except BaseException as error:
            self.notes += getattr(error, "__notes__", ())
            raise
        finally:
            self.over.set()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


async def _settled() -> None:
    """Close unfinished generators; those that the garbage collector found first close themselves."""
    await asyncio.get_running_loop().shutdown_asyncgens()
    if rest := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(rest, timeout=_SETTLE_SECONDS)
    await _ended()


async def _ended() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=_SETTLE_SECONDS)


async def _next(items: AsyncIterator[_T]) -> _T | object:
    return await anext(items, _END)
