"""One call of a node, an executor or a provider's plugin, bounded in time, whatever it raises and even if it never returns.

What comes from there is input. The caller gets a value, or one error of our own tree, within the time that it allowed.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lepton_sdk._clock import Clock
from lepton_sdk._engine.calls.hurry import Hurry
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import LeptonError, NodeGarbled, NodeUnreachable, Unavailable
from lepton_sdk.spi.secret import redacted, without_secrets

__all__ = ["ask_node", "ask_provider", "bounded", "words_of"]

_T = TypeVar("_T")
# Cancelled work gets this long to tidy up. If it ignores the cancellation, it is left behind.
_FAREWELL = 0.5
# Less time than this counts as none: a clock that uses floats may not even advance by it.
_TICK = 1e-3
# A simulated death is no error of a plugin.
_OWN = "lepton_sdk.testing."


class _Raised(Exception):
    """Carries what the work raised out of its task: a SystemExit in a task would end the whole event loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


async def bounded(work: Callable[[], Awaitable[_T]], seconds: float, clock: Clock, hurry: Hurry | None = None) -> _T:
    """The result of ``work()``.

    Args:
        seconds: the time limit.
        hurry: shortens the limit while we wait.

    Raises:
        TimeoutError: the time is used up. The work was cancelled; if it ignores that, nobody waits for it.
        Exception: what the work raised. Anything else (a SystemExit, a cancellation of its own) becomes a RuntimeError.
    """
    task = asyncio.create_task(_contained(work))
    # We may be cancelled just when it fails.
    task.add_done_callback(_heard)
    try:
        # Most answers come at once and need no clock.
        await clock.sleep(0)
        await _until(task, seconds, clock, hurry)
        if not task.done():
            raise TimeoutError(f"no answer within {seconds:.0f} seconds")
        return task.result()
    except _Raised as raised:
        if isinstance(raised.error, Exception):
            raise raised.error from None
        raise RuntimeError(words_of(raised.error)) from raised.error
    finally:
        if not task.done():
            await _end(task, clock)


async def _until(task: asyncio.Future[_T], seconds: float, clock: Clock, hurry: Hurry | None) -> None:
    began = clock.monotonic()
    while not task.done():
        left = seconds - (clock.monotonic() - began)
        if hurry is not None:
            left = min(left, hurry.left())
        if left <= _TICK:
            # Still take an answer that comes without waiting.
            await clock.sleep(0)
            return
        timer = asyncio.create_task(clock.sleep(left))
        changed = [asyncio.create_task(hurry.changed())] if hurry is not None else []
        try:
            awaited: list[asyncio.Future[Any]] = [task, timer, *changed]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if timer.done():
                # The clock may be one that dies with its process.
                timer.result()
        finally:
            for one in (timer, *changed):
                one.cancel()


async def _end(task: asyncio.Future[_T], clock: Clock) -> None:
    task.cancel()
    farewell = asyncio.create_task(clock.sleep(_FAREWELL))
    try:
        awaited: list[asyncio.Future[Any]] = [task, farewell]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        farewell.cancel()
        farewell.add_done_callback(_heard)


def _heard(task: asyncio.Future[Any]) -> None:
    """Read the error of a task that nobody waits for any more, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()


async def _contained(work: Callable[[], Awaitable[_T]]) -> _T:
    task = asyncio.current_task()
    try:
        # Even making the call may raise: a plugin may be gone, or claim what another plugin claims.
        return await work()
    except BaseException as error:
        # Every error of a plugin passes through this one place.
        without_secrets(error)
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        if (isinstance(error, KeyboardInterrupt) and _is_ours()) or type(error).__module__.startswith(_OWN):
            raise
        raise _Raised(error) from error


def _is_ours() -> bool:
    """Return True if a KeyboardInterrupt may be the user's: only if Python itself raises it, in the middle of whatever runs."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def ask_node(
    what: str,
    work: Callable[[], Awaitable[_T]],
    seconds: float,
    clock: Clock,
    *,
    hurry: Hurry | None = None,
    passed: tuple[type[LeptonError], ...] = (),
) -> _T:
    """Call an executor about a node, once.

    Args:
        what: for the message, such as ``"asking i-1 for its job"``.
        passed: errors of the contract that the caller handles itself; they are raised unchanged.

    Raises:
        NodeUnreachable: no answer came in time, or the executor raised this error itself.
        NodeGarbled: it raised anything else.
    """
    try:
        return await bounded(work, seconds, clock, hurry)
    except passed:
        raise
    except NodeUnreachable:
        raise
    except TimeoutError as error:
        raise NodeUnreachable(f"{what}: {words_of(error)}", hint="it is asked again") from error
    except Exception as error:
        raise NodeGarbled(f"{what}: {words_of(error)}", hint="it is asked again") from error


async def ask_provider(
    name: str, what: str, work: Callable[[], Awaitable[_T]], seconds: float, clock: Clock, *, hurry: Hurry | None = None
) -> _T:
    """Call a provider's plugin, once.

    Raises:
        LeptonError: the plugin's own; `Unavailable` if it raised anything else, or did not answer in time.
    """
    try:
        return await bounded(work, seconds, clock, hurry)
    except LeptonError:
        raise
    except Exception as error:
        raise Unavailable(f"{what}: {words_of(error)}", provider=name, hint=f"lepton doctor {name}") from error


def words_of(error: BaseException) -> str:
    """The text of a plugin's error for people and for the journal: one line, no control characters, of bounded length."""
    try:
        text = error.message if isinstance(error, LeptonError) else str(error)
        text = text if isinstance(text, str) else repr(text)
    except Exception:
        # Even making the text may be a bug of the plugin.
        text = ""
    text = one_line(redacted(text))
    if isinstance(error, LeptonError | TimeoutError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
