"""The only module that retries, and the only one that imports tenacity. The error's disposition says whether to retry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from lepton_sdk._clock import Clock
from lepton_sdk.errors import Disposition, LeptonError, RateLimited

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["retrying"]

_T = TypeVar("_T")
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


async def retrying(call: Callable[[], Awaitable[_T]], clock: Clock, *, seconds: float) -> _T:
    """Retry while the error's disposition is ``retry-same``, with exponential backoff and the vendor's ``Retry-After``.

    Args:
        seconds: the total time after which the last error is raised.
    """
    try:
        return await call()
    except LeptonError as error:
        if error.disposition is not Disposition.RETRY_SAME or seconds <= 0:
            raise
        await clock.sleep(_wait(error, 1))
    return await _again(call, clock, seconds)


async def _again(call: Callable[[], Awaitable[_T]], clock: Clock, seconds: float) -> _T:
    # 26 ms to import, so only once something has failed.
    from tenacity import AsyncRetrying, retry_if_exception

    def transient(error: BaseException) -> bool:
        return isinstance(error, LeptonError) and error.disposition is Disposition.RETRY_SAME

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return _wait(error, state.attempt_number + 1)

    # tenacity awaits only coroutine functions, and a lambda is not one.
    async def once() -> _T:
        return await call()

    end = clock.monotonic() + seconds
    retries = AsyncRetrying(
        retry=retry_if_exception(transient),
        wait=wait,
        # Use our clock, which a simulation may own.
        stop=lambda _: clock.monotonic() >= end,
        sleep=clock.sleep,
        reraise=True,
    )
    return await retries(once)


def _wait(error: BaseException | None, tries: int) -> float:
    if isinstance(error, RateLimited) and error.retry_after is not None:
        return error.retry_after
    return float(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tries - 1)))
