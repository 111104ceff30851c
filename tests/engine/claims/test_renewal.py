"""Renewing a claim: one at a time, for as long as its work lasts, and whoever lost it is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

from attrs import evolve
from members import engine_over, planned

from lepton_sdk._clock import SystemClock
from lepton_sdk._engine.claims.renewal import claimed, is_claimed, is_ours, told_holder
from lepton_sdk._engine.timing import USUAL

_QUICK = evolve(USUAL, claim=60.0, renewal=0.01)


def test_a_claim_lasts_for_its_work_and_is_free_after_it(tmp_path: Path) -> None:
    async def main() -> None:
        with engine_over(tmp_path, clock=SystemClock()) as engine:
            run = planned(engine)
            async with claimed(engine, run.id, lambda _: None) as epoch:
                assert epoch == 1
                assert is_claimed(engine, run.id)
                assert is_ours(engine, run.id)
                # It is this very process that has it: there is nobody to tell of.
                assert told_holder(engine, run.id) is None
                async with claimed(engine, run.id, lambda _: None) as second:
                    assert second is None
            assert not is_claimed(engine, run.id)
            assert engine.renewal is None
            async with claimed(engine, run.id, lambda _: None) as again:
                assert again == 2

    asyncio.run(main())


def test_whoever_has_it_elsewhere_is_named_with_the_end_of_its_claim(tmp_path: Path) -> None:
    async def main() -> None:
        with engine_over(tmp_path, clock=SystemClock()) as engine:
            run = planned(engine)
            engine.journal.claim(run.id, "there/boot/17/1/x", 60, lambda _: True)
            async with claimed(engine, run.id, lambda _: None) as epoch:
                assert epoch is None
            assert is_claimed(engine, run.id)
            assert not is_ours(engine, run.id)
            told = told_holder(engine, run.id)
            assert told is not None
            assert told.startswith("process 17 on host there, whose claim lasts until ")
            assert "for 60 seconds" in told

    asyncio.run(main())


def test_one_that_was_overtaken_is_told_at_the_next_renewal(tmp_path: Path) -> None:
    async def main() -> None:
        with engine_over(tmp_path, clock=SystemClock(), timing=_QUICK) as engine:
            run, lost = planned(engine), asyncio.Queue[int]()
            async with claimed(engine, run.id, lost.put_nowait) as epoch:
                engine.journal.claim(run.id, "there/boot/17/1/x", 60, lambda _: False)
                async with asyncio.timeout(60):
                    assert await lost.get() == epoch
            # What was lost is not let go on behalf of the one who has it now.
            assert is_claimed(engine, run.id)

    asyncio.run(main())
