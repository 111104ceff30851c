"""How much time is left before a machine's release: a stop shortens it, a second one ends it, and nothing makes it longer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from math import inf

from members import StillClock

from lepton_sdk._engine.calls.hurry import Hurry


def test_without_a_stop_there_is_no_end() -> None:
    hurry = Hurry(StillClock(), 10)
    assert not hurry.begun
    assert hurry.left() == inf


def test_a_stop_bounds_it_and_a_later_one_makes_it_no_longer() -> None:
    clock = StillClock()
    hurry = Hurry(clock, 10)
    hurry.stop()
    clock.time += timedelta(seconds=4)
    hurry.stop()
    assert (hurry.begun, hurry.left()) == (True, 6)
    hurry.stop(now=True)
    assert hurry.left() == 0
    hurry.stop()
    assert hurry.left() == 0


def test_whoever_waits_hears_only_of_less_time() -> None:
    async def main() -> None:
        hurry = Hurry(StillClock(), 10)
        heard = asyncio.create_task(hurry.changed())
        await asyncio.sleep(0)
        hurry.stop()
        await heard
        again = asyncio.create_task(hurry.changed())
        await asyncio.sleep(0)
        hurry.stop()
        await asyncio.sleep(0)
        assert not again.done()
        hurry.stop(now=True)
        await again

    asyncio.run(main())
