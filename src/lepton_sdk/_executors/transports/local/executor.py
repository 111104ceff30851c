"""Runs a job as processes of this host. The job outlives the client and leaves no process behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from lepton_sdk._executors.keeper.orders import hundredths, orders, run_path
from lepton_sdk._executors.keeper.status import read_answer
from lepton_sdk._executors.keeper.talk import ENDED, Polling, heed_cancel, heed_start
from lepton_sdk._executors.transports.local import earlier
from lepton_sdk._executors.transports.local.log import follow_log, read_log
from lepton_sdk._executors.transports.local.shell import LocalShell
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import NodeError, NodeUnreachable, UsageError
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus, ExecutorContext, Fetched

__all__ = ["LocalExecutor", "create"]

_IDLE = 0.02
# Beyond the grace time killed processes get so long to vanish.
_PATIENCE = 15.0
_CANCEL_SECONDS = 60.0
# No copy takes longer.
_STALE_SECONDS = 86_400.0


class LocalExecutor:
    """The executor of ``LocalAccess``.

    Each execution has a folder of its own, ``runs_dir/RUN/ATTEMPT-RANK``: ``work`` (the job's copy of its workdir), ``log``
    (what setup and command printed, in the order written), and the records of its keeper, ``start`` and ``status``.

    Args:
        context: where runs live, and the clock.
        grace: seconds between asking processes to end and killing them.
    """

    def __init__(self, context: ExecutorContext, *, grace: float = 5.0) -> None:
        self._clock = context.clock
        self._runs = context.runs_dir.absolute()
        self._grace = grace
        self._shell = LocalShell(self._runs.parent)
        self._polling = Polling(context.clock)

    def folder(self, execution: Execution) -> Path:
        """Where the files of an execution live."""
        return self._runs / run_path(execution)

    # --- starting --------------------------------------------------------------------------------------------------

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

        text = orders(execution, self._grace)
        # The whole start is one call in one thread: cancelling us cannot leave it half done.
        with _this_host():
            said = await asyncio.to_thread(self._start, execution, text)
        try:
            heed_start(execution, said, self._shell.title)
        except NodeUnreachable:
            raise
        except NodeError as error:
            if type(error) is not NodeError:
                raise
            # There is no other host to try.
            raise NodeUnreachable(error.message, hint=error.hint) from error

    def _start(self, execution: Execution, text: bytes) -> list[str]:
        if earlier.check_fence(self.folder(execution), execution):
            return ["started"]
        place = self._copied(execution)
        try:
            return self._shell.start(f"{run_path(execution)} {place or '-'}", text)
        except BaseException as error:
            # A keeper that came up takes or removes it itself; one that is only slow does so yet.
            if place and not isinstance(error.__cause__, TimeoutError):
                self._sweep(place)
            raise

    def _copied(self, execution: Execution) -> str:
        """The name of a copy of the workdir that the keeper can take; empty where it needs none."""
        if execution.job.workdir is None or self._is_started(execution) or self._is_cancelled(execution):
            return ""
        import secrets

        from lepton_sdk._executors.workdir.copy import copy_workdir

        place = secrets.token_hex(8)
        self._sweep_old()
        self._place(place).mkdir(mode=0o700, parents=True)
        try:
            copy_workdir(
                execution.job.workdir,
                self._place(place) / "work",
                without=(self._runs, self._runs.with_name("in")),
                stop=lambda: self._is_cancelled(execution),
            )
        except BaseException:
            self._sweep(place)
            raise
        return place

    def _is_started(self, execution: Execution) -> bool:
        return (self.folder(execution) / "start").exists()

    def _is_cancelled(self, execution: Execution) -> bool:
        """Whether it was cancelled before it started. The keeper decides; here it saves a copy that nobody needs."""
        marks = _names(self.folder(execution) / "cancel")
        return any(name.isdecimal() and int(name) >= execution.epoch for name in marks)

    def _place(self, name: str) -> Path:
        return self._runs.with_name("in") / name

    def _sweep(self, name: str) -> None:
        from lepton_sdk._executors.workdir.copy import remove_tree

        remove_tree(self._place(name))

    def _sweep_old(self) -> None:
        """Remove what clients left that died while they copied."""
        now = self._clock.now().timestamp()
        for name in _names(self._runs.with_name("in")):
            # Another client may do the same at this moment.
            with suppress(FileNotFoundError):
                if now - self._place(name).stat().st_mtime > _STALE_SECONDS:
                    self._sweep(name)

    # --- looking ---------------------------------------------------------------------------------------------------

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        """What the record says and whether the process that keeps it lives; renews the lease if there is one."""
        import asyncio

        with _this_host():
            folder = self.folder(execution)
            if not folder.exists():
                return ExecutionStatus(ExecutionState.ABSENT)
            if earlier.is_earlier(folder):
                return read_answer(await asyncio.to_thread(earlier.answer, folder), self._clock.now())
            return await self._polling.poll(self._shell, execution)

    async def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Output from byte ``offset`` in pieces of 64 KiB at most; with ``follow``, until the execution has ended."""
        from attrs import evolve

        looking = evolve(execution, lease=None)

        async def ended() -> bool:
            return (await self.poll(node, looking)).state in ENDED

        path = self.folder(execution) / "log"
        async for piece in follow_log(path, offset, ended, self._clock) if follow else read_log(path, offset):
            yield piece

    async def fetch(
        self, node: Node, execution: Execution, patterns: Sequence[str], target: Path, *, most: int | None = None
    ) -> Fetched:
        """Copy the run's files that fit into another folder."""
        from lepton_sdk._executors.workdir.outputs import copied

        return await copied(self.folder(execution) / "work", patterns, target, most=most)

    # --- ending ----------------------------------------------------------------------------------------------------

    async def cancel(self, node: Node, execution: Execution) -> None:
        """End every process of the execution; one that has not started yet never will (unless a newer epoch starts it).

        Raises:
            NodeUnreachable: some process could not be ended; the message names it.
        """
        import asyncio

        with _this_host():
            if earlier.is_earlier(self.folder(execution)) and await self._end_earlier(node, execution):
                return
            words = f"cancel {run_path(execution)} {execution.epoch} {hundredths(_PATIENCE)}"
            said = await asyncio.to_thread(self._shell.call, words, 3 * (self._grace + _PATIENCE) + _CANCEL_SECONDS)
        try:
            heed_cancel(said, self._shell.title)
        except NodeUnreachable:
            raise
        except NodeError as error:
            raise NodeUnreachable(error.message, hint=error.hint) from error

    async def _end_earlier(self, node: Node, execution: Execution) -> bool:
        """Have the program of an earlier version end its run; whether it did. What it left is for the keeper of today."""
        import signal

        async def finished() -> bool:
            return (await self.poll(node, execution)).state is ExecutionState.FINISHED

        folder = self.folder(execution)
        if await finished():
            return True
        earlier.mark_cancelled(folder)
        if earlier.signal_keeper(folder, signal.SIGTERM):
            until = self._clock.monotonic() + earlier.grace_of(folder) + _PATIENCE
            while not (done := await finished()) and self._clock.monotonic() < until:
                await self._clock.sleep(_IDLE)
            earlier.signal_keeper(folder, signal.SIGKILL)
            return done
        return False

    # --- a person at this host --------------------------------------------------------------------------------------

    def shell(self, node: Node, execution: Execution, command: str | None, *, outside: bool) -> Sequence[str]:
        """A shell in the run's folder, or in its container."""
        from lepton_sdk._executors.container import entered

        bare = outside or execution.job.image is None
        inside = command or "exec ${SHELL:-/bin/sh}" if bare else entered(execution, command)
        return ["/bin/sh", "-c", f"cd {quote(str(self.folder(execution) / 'work'))} && {inside}"]

    def forward(self, node: Node, execution: Execution, here: int, there: int) -> Sequence[str]:
        """Nothing has to be brought.

        Raises:
            UsageError: the port is here already.
        """
        hint = f"its port is here already: http://127.0.0.1:{there}"
        raise UsageError(f"run {execution.run_id} runs on this host", hint=hint)

    async def aclose(self) -> None:
        """End the process that answers questions; runs go on."""
        import asyncio

        await asyncio.to_thread(self._shell.close)


def create(context: ExecutorContext) -> LocalExecutor:
    """The factory that the executor's record names."""
    return LocalExecutor(context)


@contextmanager
def _this_host() -> Iterator[None]:
    """What is wrong with the files of a run, which its job may change, is this host's trouble and nobody's bug."""
    try:
        yield
    except OSError as error:
        text = f"the files of the run on this host cannot be used: {error.strerror or error}"
        raise NodeUnreachable(text, hint="is there room, and did the job leave the files beside its folder alone?") from error


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []
