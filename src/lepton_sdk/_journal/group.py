"""Group commit: one thread writes for every coroutine; entries that arrive during a commit share the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from attrs import define, field

from lepton_sdk._journal.appending import Entry, Written
from lepton_sdk.errors import LeptonError

__all__ = ["Group"]

# A larger commit would delay the callers behind it for too long.
_MOST = 256


@define
class _Waiting:
    entry: Entry
    answer: Future[Written] = field(factory=Future)


class Group:
    """The queue of entries that wait for the disk.

    Args:
        commit: writes entries in one transaction and returns an answer for each.
        unheard: called with a write whose caller was cancelled before it became durable.
    """

    def __init__(
        self, commit: Callable[[list[Entry]], list[Written | LeptonError]], unheard: Callable[[Written], object]
    ) -> None:
        self._commit = commit
        self._unheard = unheard
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._begin = Lock()

    async def write(self, entry: Entry) -> Written:
        """Return when the entry is durable, without blocking the event loop.

        A cancelled caller gets its cancellation once it is certain whether the entry was written.

        Raises:
            LeptonError: the entry was refused, or nothing could be written.
        """
        waiting = _Waiting(entry)
        self._start()
        self._queue.put(waiting)
        answer = asyncio.wrap_future(waiting.answer)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait({answer})
            # Nobody is left to receive a refusal.
            if not answer.cancelled() and answer.exception() is None:
                self._unheard(answer.result())
            raise

    def close(self) -> None:
        """Write the waiting entries, then end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        with self._begin:
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="lepton-journal", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, last = self._gathered(first)
            self._settle(batch)
            if last:
                return

    def _gathered(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """The waiting entries, and whether the queue ends after them."""
        batch = [first]
        while len(batch) < _MOST:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                return batch, True
            batch.append(following)
        return batch, False

    def _settle(self, batch: list[_Waiting]) -> None:
        try:
            answers = self._commit([waiting.entry for waiting in batch])
        except BaseException as error:
            for waiting in batch:
                waiting.answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, LeptonError):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
