"""Several pieces of work side by side, all of them to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["together"]

_T = TypeVar("_T")


async def together(*work: Coroutine[Any, Any, _T]) -> list[_T]:
    """What each piece of work gave, in order.

    Raises:
        Exception: the first error, once everything has ended: a node that cannot be asked must not keep the others of its
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
