"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(holds: Callable[[], _T], what: str = "what was waited for", seconds: float = 60) -> _T:
    """The first answer that is true.

    Raises:
        AssertionError: there was none within ``seconds``.
    """
    end = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return answer
