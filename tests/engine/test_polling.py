"""How often something is asked: not again after a moment, and once for all who want to know the same."""

from __future__ import annotations

import asyncio

import pytest

from lepton_sdk._engine.polling import Cached, Throttle
from lepton_sdk.errors import Unavailable
from lepton_sdk.testing import VirtualClock, run_virtual


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = 100.0

    def monotonic(self) -> float:
        return self.time


def test_a_thing_is_due_once_its_time_is_over_and_each_node_has_its_own() -> None:
    clock = Clock()
    throttle = Throttle(clock)  # type: ignore[arg-type]
    assert throttle.due("health", "t", 60)
    clock.time += 59
    assert not throttle.due("health", "t", 60)
    assert throttle.due("health", "u", 60)
    assert throttle.due("poll", "t", 60)
    clock.time += 1
    assert throttle.due("health", "t", 60)
    assert not throttle.due("health", "t")


def test_what_was_never_done_has_no_age() -> None:
    clock = Clock()
    throttle = Throttle(clock)  # type: ignore[arg-type]
    assert throttle.elapsed("seen", "t") is None
    throttle.mark("seen", "t")
    clock.time += 7
    assert throttle.elapsed("seen", "t") == 7
    throttle.forget("seen", "t")
    assert throttle.elapsed("seen", "t") is None


def test_many_who_ask_at_once_cost_one_question() -> None:
    async def main() -> tuple[list[int], int]:
        cached, asked = Cached[int](clock), 0

        async def ask() -> int:
            nonlocal asked
            asked += 1
            await clock.sleep(3)
            return asked

        return await asyncio.gather(*(cached.get("market", 10, ask) for _ in range(100))), asked

    clock = VirtualClock()
    assert run_virtual(main()) == ([1] * 100, 1)


def test_trouble_is_told_to_all_and_asked_about_again_sooner_than_an_answer() -> None:
    async def main() -> list[object]:
        cached, answers, told = Cached[str](clock), iter(["down", "down", "up", "late"]), list[object]()

        async def ask() -> str:
            if (answer := next(answers)) == "down":
                raise Unavailable("it is down")
            return answer

        for wait in (0, 4, 2, 4):
            await clock.sleep(wait)
            try:
                told.append(await cached.get("market", 60, ask))
            except Unavailable:
                told.append(None)
        assert cached.last("market") == (told[-1] or None)
        return told

    clock = VirtualClock()
    # Asked at 0 s (down), heard of at 4 s, asked at 6 s (down again), heard of at 10 s.
    assert run_virtual(main()) == [None, None, None, None]


def test_an_answer_is_as_old_as_its_question() -> None:
    """What was asked before somebody came says nothing about what has happened since."""

    async def main() -> list[int]:
        cached, asked = Cached[int](clock), 0

        async def ask() -> int:
            nonlocal asked
            asked += 1
            await clock.sleep(5)
            return asked

        first = await cached.get("list", 0, ask)
        same = await cached.get("list", 10, ask)
        return [first, same, await cached.get("list", 4, ask)]

    clock = VirtualClock()
    assert run_virtual(main()) == [1, 1, 2]


def test_nothing_was_answered_yet() -> None:
    assert Cached[int](VirtualClock()).last("market") is None


@pytest.mark.parametrize("error", [RuntimeError, KeyError])
def test_a_bug_is_not_remembered(error: type[Exception]) -> None:
    async def main() -> int:
        cached = Cached[int](clock)

        async def fail() -> int:
            raise error("a bug")

        async def answer() -> int:
            return 3

        with pytest.raises(error):
            await cached.get("x", 60, fail)
        return await cached.get("x", 60, answer)

    clock = VirtualClock()
    assert run_virtual(main()) == 3
