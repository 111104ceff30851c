"""Leave an open run: if a call ends before its run, tell the caller that the run goes on, or stop the run first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal, TypeVar

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.follow import is_driven, request_stop, wait_for
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import LeptonError

__all__ = ["OnCancel", "or_leave"]

OnCancel = Literal["leave", "stop"]

_T = TypeVar("_T")
_LOOK_SECONDS = 0.1
# How long a cancelled call waits until its run is stopped and its machines are given back.
_STOP_SECONDS = 180.0
# Work in these stages is not cancelled for a stop. If a create call were cut off, its machine would have to be searched for; and
# fetching outputs and giving machines back is what a stop wants anyway.
_LET_BE = frozenset({Stage.INTENDED, Stage.FINISHED, Stage.LOST, Stage.RELEASING})
_LOGGER = logging.getLogger("lepton_sdk.leaving")


async def or_leave(engine: Engine, run_id: str, work: Coroutine[Any, Any, _T], on_cancel: OnCancel = "leave") -> _T:
    """The result of ``work`` on a run. If the work does not come to its end, the error names the run that goes on.

    Args:
        on_cancel: what a cancellation does to the run; ``"stop"`` ends it before the cancellation is passed on, unless that
            takes too long or the call is cancelled once more.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as error:
        last = error
        if on_cancel == "stop":
            try:
                await _stopped(engine, run_id, task)
            except asyncio.CancelledError as again:
                last = again
        last = await _ended(task) or last
        _tell(engine, run_id, last)
        raise last from None
    except BaseException as error:
        _tell(engine, run_id, error)
        raise


async def _stopped(engine: Engine, run_id: str, task: asyncio.Future[Any]) -> None:
    with suppress(LeptonError, TimeoutError, OSError):
        request_stop(engine, run_id)
        async with asyncio.timeout(_STOP_SECONDS):
            while not task.done() and _is_let_be(engine.journal.run(run_id)):
                await engine.clock.sleep(_LOOK_SECONDS)
            if (again := await _ended(task)) is not None:
                raise again
            await wait_for(engine, run_id)


def _is_let_be(run: Run) -> bool:
    return any(member.awaited and member.stage in _LET_BE for member in run.members)


async def _ended(task: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Cancel the task and wait for its end. If we are cancelled meanwhile, still wait, and return that cancellation."""
    again = None
    for _ in range(2):
        task.cancel()
        try:
            await asyncio.wait({task})
            break
        except asyncio.CancelledError as error:
            again = error
    if task.done() and not task.cancelled():
        # Nobody needs its error any more. Read it, so that asyncio does not log it.
        task.exception()
    return again


def _tell(engine: Engine, run_id: str, error: BaseException) -> None:
    """Say with the error, and in the log, which run goes on."""
    try:
        line = _left(engine, run_id)
    except LeptonError as unread:
        line = f"run {run_id}: its state cannot be read now ({unread.message}); it may go on; next: lepton ps"
    if line and line not in getattr(error, "__notes__", ()):
        error.add_note(line)
        if not error.args and isinstance(error, asyncio.CancelledError):
            # A time-out shows its cause in one line, without the notes.
            error.args = (line,)
        _LOGGER.warning(line)


def _left(engine: Engine, run_id: str) -> str:
    run = engine.journal.run(run_id)
    if run.state.ended:
        return ""
    does = "is being stopped" if run.stop_requested else "goes on"
    who = "another process follows it" if is_driven(engine, run_id) else "nobody follows it now"
    held = [node for node in run.nodes if node.open]
    prices = sorted({node.price.display() if node.price is not None else "an unknown price" for node in held})
    cost = f", and it holds {len(held)} machine(s) at {', '.join(prices)} an hour each" if held else ""
    then = f"lepton follow --run {run_id} follows it to its end, lepton stop {run_id} ends it"
    return f"run {run_id} ({run.name}) {does} without this call; {who}{cost}; {then}"
