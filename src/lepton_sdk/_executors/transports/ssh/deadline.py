"""Deadlines that read the project's own clock, so that a simulation can own them too."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from lepton_sdk._clock import Clock
from lepton_sdk.errors import NodeUnreachable

__all__ = ["within"]

_T = TypeVar("_T")


async def within(clock: Clock, seconds: float, work: Awaitable[_T], what: str) -> _T:
    """The result of ``work``, or `NodeUnreachable` when it takes longer than ``seconds``; it is then cancelled."""
    import asyncio

    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise NodeUnreachable(f"{what} did not answer within {seconds:.0f} seconds", hint="is the host overloaded or going down?")
    finally:
        timer.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
