"""One attempt at what is not ours: a value or one error of our own, in the time that was allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from lepton_sdk._engine.calls.bounded import ask_node, ask_provider, bounded, words_of
from lepton_sdk._engine.calls.hurry import Hurry
from lepton_sdk.errors import NoCapacity, NodeGarbled, NodeUnreachable, StaleEpoch, Unavailable
from lepton_sdk.testing import VirtualClock, run_virtual


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this is a bug")


async def answer() -> int:
    return 7


def raising(error: BaseException) -> Callable[[], Awaitable[int]]:
    async def work() -> int:
        raise error

    return work


async def never() -> int:
    await asyncio.Event().wait()
    return 0


def test_an_answer_that_is_there_is_taken_also_where_no_time_is_left() -> None:
    clock = VirtualClock()
    assert run_virtual(bounded(answer, 60, clock)) == 7
    assert run_virtual(bounded(answer, 0, clock)) == 7


def test_whoever_gives_nothing_costs_the_time_that_was_allowed_and_no_more() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError, match="no answer within 60 seconds"):
            await bounded(never, 60, clock)
        return clock.monotonic()

    clock = VirtualClock()
    assert 60 <= run_virtual(main()) < 61


def test_what_does_not_heed_its_end_is_left_behind() -> None:
    async def main() -> float:
        over = asyncio.Event()

        async def deaf() -> int:
            while not over.is_set():
                with suppress(asyncio.CancelledError):
                    await over.wait()
            return 0

        with pytest.raises(TimeoutError):
            await bounded(deaf, 60, clock)
        over.set()
        return clock.monotonic()

    clock = VirtualClock()
    assert 60 <= run_virtual(main()) < 61


def test_a_stop_shortens_what_is_waited_for() -> None:
    async def main() -> float:
        hurry = Hurry(clock, 5)
        asyncio.get_running_loop().call_later(10, hurry.stop)
        with pytest.raises(TimeoutError):
            await bounded(never, 3600, clock, hurry)
        return clock.monotonic()

    clock = VirtualClock()
    assert 15 <= run_virtual(main()) < 16


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError()])
def test_what_is_no_exception_ends_nobody_but_its_call(error: BaseException) -> None:
    with pytest.raises(RuntimeError, match=type(error).__name__):
        run_virtual(bounded(raising(error), 60, VirtualClock()))


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (NodeUnreachable("no line"), NodeUnreachable),
        (ValueError("what?"), NodeGarbled),
        (NoCapacity("a provider's word"), NodeGarbled),
        (StaleEpoch("an older order"), StaleEpoch),
    ],
)
def test_an_executor_is_silent_or_talks_nonsense_or_says_what_the_contract_has(error: Exception, ours: type[Exception]) -> None:
    work: Any = ask_node("asking m-1", raising(error), 60, VirtualClock(), passed=(StaleEpoch,))
    with pytest.raises(ours) as caught:
        run_virtual(work)
    if ours is NodeGarbled:
        assert "asking m-1: " in str(caught.value)


def test_a_providers_own_error_passes_and_everything_else_may_pass_by_itself() -> None:
    with pytest.raises(NoCapacity, match="none left"):
        run_virtual(ask_provider("acme", "listing", raising(NoCapacity("none left")), 60, VirtualClock()))
    with pytest.raises(Unavailable, match="listing: KeyError: 'id'") as caught:
        run_virtual(ask_provider("acme", "listing", raising(KeyError("id")), 60, VirtualClock()))
    assert (caught.value.provider, caught.value.hint) == ("acme", "lepton doctor acme")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("two\nlines\x1b[31m"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (Unspeakable(), "Unspeakable"),
        (NoCapacity("none left", provider="acme"), "none left"),
        (TimeoutError("no answer"), "no answer"),
    ],
)
def test_the_words_of_an_error_fit_on_a_line(error: Exception, words: str) -> None:
    assert words_of(error).startswith(words)
    assert words_of(error).isprintable()
