"""Runs a job as processes of this host. The job outlives the client and leaves no process behind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lepton_sdk._executors.launch import FolderLock, mark_of, spawn
from lepton_sdk._executors.record import read_json, read_plain, read_status
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import JobCancelled, NodeUnreachable, StaleEpoch
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus, ExecutorContext, Fetched

__all__ = ["LocalExecutor", "create"]

_LIVE = (ExecutionState.SETUP, ExecutionState.RUNNING)
_CHUNK = 1 << 16
_EAGER, _IDLE = 0.005, 0.02
# Between two looks for a keeper that died: its record does not change then, so a file's state cannot tell.
_LIVENESS = 1.0
# Beyond the grace time the keeper itself waits up to 10 seconds for killed processes.
_PATIENCE = 30.0
_LONGEST_GRACE = 3600.0
_LONGEST_NUMBER = 18


class LocalExecutor:
    """The executor of ``LocalAccess``.

    Each execution has a folder of its own, ``runs_dir/RUN/ATTEMPT-RANK``: ``work`` (the job's copy of its workdir),
    ``log`` (what setup and command printed, in the order written), ``start.json`` and ``status.json``.

    Args:
        context: where runs live, and the clock.
        grace: seconds between asking processes to end and killing them.
    """

    def __init__(self, context: ExecutorContext, *, grace: float = 5.0) -> None:
        self._clock = context.clock
        self._runs = context.runs_dir.absolute()
        self._grace = grace

    def folder(self, execution: Execution) -> Path:
        """Where the files of an execution live."""
        return self._runs / execution.run_id / f"{execution.attempt}-{execution.rank}"

    async def start(self, node: Node, execution: Execution) -> None:
        """Copy the workdir, then start setup and command; returns when they are bound to run whatever becomes of us.

        One (run, attempt, rank) starts at most once here. A newer epoch takes over what an older one started.

        Raises:
            JobSpecError: the workdir cannot be copied; nothing of it is left.
            JobCancelled: `cancel` came first.
            StaleEpoch: a newer follower has started or taken over this attempt.
            NodeUnreachable: this host could not start a process.
        """
        import asyncio

        # The whole start is one call in one thread: cancelling us cannot leave it half done or its lock taken.
        with _this_host():
            while not await asyncio.to_thread(self._start, execution):
                await self._clock.sleep(_IDLE)

    def _start(self, execution: Execution) -> bool:
        """Start it, unless somebody else holds its lock now."""
        with FolderLock(self.folder(execution)) as lock:
            if lock.taken and not self._taken_over(execution):
                self._start_new(execution, lock)
            # Of what was started already its own job may hold the lock.
            return lock.taken or (self._is_started(execution) and self._taken_over(execution))

    def _is_started(self, execution: Execution) -> bool:
        return (self.folder(execution) / "start.json").exists()

    def _start_new(self, execution: Execution, lock: FolderLock) -> None:
        from lepton_sdk._executors.workdir.copy import copy_workdir, remove_tree

        folder = self.folder(execution)
        folder.mkdir(mode=0o700, exist_ok=True)
        cancelled = (folder / "cancel").exists
        try:
            remove_tree(folder / "work")
            copy_workdir(execution.job.workdir, folder / "work", without=self._runs, stop=cancelled)
            spawn(execution, folder, lock, self._grace)
        except BaseException:
            if not (folder / "start.json").exists() and not cancelled():
                remove_tree(folder)
            raise

    def _taken_over(self, execution: Execution) -> bool:
        """Whether this attempt was started before; raises the fence to our epoch."""
        folder = self.folder(execution)
        started = read_json(folder / "start.json")
        epoch = (started or {}).get("epoch", 0)
        fence = max(_number(folder / "epoch"), epoch if isinstance(epoch, int) else 0)
        if execution.epoch < fence:
            raise StaleEpoch(
                f"run {execution.run_id}, attempt {execution.attempt}: epoch {execution.epoch} is older than {fence}",
                hint="another follower drives this run; ask it, or look with 'lepton ps'",
            )
        if started is None:
            self._not_cancelled(execution)
            return False
        if execution.epoch > fence:
            _write_number(folder / "epoch", execution.epoch)
        return True

    def _not_cancelled(self, execution: Execution) -> None:
        mark = self.folder(execution) / "cancel"
        if execution.epoch <= _number(mark):
            raise JobCancelled(f"run {execution.run_id} was cancelled before it started")
        mark.unlink(missing_ok=True)

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        """What the record says and whether the process that keeps it lives; never waits."""
        import asyncio

        with _this_host():
            return await asyncio.to_thread(read_status, self.folder(execution), self._clock.now())

    async def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Output from byte ``offset`` in pieces of 64 KiB at most; with ``follow``, until the execution has ended."""
        import asyncio

        path = self.folder(execution) / "log"
        while True:
            before = _stamp(path)
            # Asked first: what is written before the end must be read after it.
            ended = not follow or await self._ended(execution)
            while data := await asyncio.to_thread(_read, path, offset):
                offset += len(data)
                yield data
            if ended:
                return
            await self._more(path, offset, before)

    async def _more(self, path: Path, offset: int, before: int) -> None:
        """Wait until the log grew, the record changed, or it is time to see whether its keeper lives."""
        pause = _EAGER
        until = self._clock.monotonic() + _LIVENESS
        while _size(path) <= offset and _stamp(path) == before and self._clock.monotonic() < until:
            await self._clock.sleep(pause)
            pause = min(pause * 1.2, _IDLE)

    async def _ended(self, execution: Execution) -> bool:
        import asyncio

        status = await asyncio.to_thread(read_status, self.folder(execution))
        return status.state in (ExecutionState.FINISHED, ExecutionState.LOST)

    async def fetch(
        self, node: Node, execution: Execution, patterns: Sequence[str], target: Path, *, most: int | None = None
    ) -> Fetched:
        """Copy the run's files that fit into another folder."""
        from lepton_sdk._executors.workdir.outputs import copied

        return await copied(self.folder(execution) / "work", patterns, target, most=most)

    async def cancel(self, node: Node, execution: Execution) -> None:
        """End every process of the execution; one that has not started yet never will (unless a newer epoch starts it).

        Raises:
            NodeUnreachable: some process could not be ended; the message names it.
        """
        import asyncio

        folder = self.folder(execution)
        with _this_host():
            if (await asyncio.to_thread(read_status, folder)).state is ExecutionState.FINISHED:
                return
            try:
                await asyncio.to_thread(_write_number, folder / "cancel", execution.epoch)
            except OSError:
                # A job that stands in the way of the mark is ended without it.
                if not self._is_started(execution):
                    raise
            # Whoever is starting it right now sees the mark or finishes; after that nothing can come up behind our back. A job
            # that holds the lock itself has been started.
            await self._until(lambda: self._is_started(execution) or _free(folder))
            if (start := await asyncio.to_thread(read_json, folder / "start.json")) is not None:
                await self._end(folder, start | {"mark": mark_of(execution)})

    async def _end(self, folder: Path, start: dict[str, Any]) -> None:
        import asyncio
        import signal

        from lepton_sdk._executors.processes import send, signal_keeper, survivors

        grace = start.get("grace", self._grace)
        # What is longer was not written by its keeper.
        grace = min(float(grace), _LONGEST_GRACE) if isinstance(grace, int | float) and grace >= 0 else self._grace
        if await asyncio.to_thread(signal_keeper, start, signal.SIGTERM):
            await self._until(lambda: read_status(folder).state not in _LIVE, grace + _PATIENCE)
            await asyncio.to_thread(signal_keeper, start, signal.SIGKILL)
        if (await asyncio.to_thread(read_status, folder)).state is ExecutionState.FINISHED:
            return

        def rest(number: int) -> bool:
            left = survivors(start, folder)
            send(left, number)
            return not left

        # Asked once and then killed again and again: something new may have begun in between.
        if await asyncio.to_thread(rest, signal.SIGTERM) or await self._until(lambda: rest(0), grace):
            return
        if not await self._until(lambda: rest(signal.SIGKILL), _PATIENCE):
            left = sorted(pid for pid in survivors(start, folder) if pid > 0)
            raise NodeUnreachable(f"processes {left} did not end", hint="end them by hand, as the user they run as")

    async def _until(self, holds: Callable[[], bool], limit: float = float("inf")) -> bool:
        """Wait until something holds, ``limit`` seconds at most; whether it does."""
        import asyncio

        until = self._clock.monotonic() + limit
        while not (held := await asyncio.to_thread(holds)) and self._clock.monotonic() < until:
            await self._clock.sleep(_IDLE)
        return held

    async def aclose(self) -> None:
        """Nothing is held between calls."""


def create(context: ExecutorContext) -> LocalExecutor:
    """The factory that the executor's record names."""
    return LocalExecutor(context)


def _free(folder: Path) -> bool:
    with FolderLock(folder) as lock:
        return lock.taken


@contextmanager
def _this_host() -> Iterator[None]:
    """What is wrong with the files of a run, which its job may change, is this host's trouble and nobody's bug."""
    try:
        yield
    except OSError as error:
        text = f"the files of the run on this host cannot be used: {error.strerror or error}"
        raise NodeUnreachable(text, hint="is there room, and did the job leave the files beside its folder alone?") from error


def _read(path: Path, offset: int) -> bytes:
    try:
        return read_plain(path, _CHUNK, offset)
    except FileNotFoundError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _stamp(log: Path) -> int:
    # The record beside the log is replaced, never rewritten, so its inode tells.
    try:
        return log.with_name("status.json").stat().st_ino
    except OSError:
        return 0


def _number(path: Path) -> int:
    try:
        # What is longer was put there by somebody else.
        return int(read_plain(path, _LONGEST_NUMBER) or b"0")
    except (FileNotFoundError, ValueError):
        return 0


def _write_number(path: Path, number: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(str(number))
    fresh.replace(path)
