"""The watchdog of a rented machine: what it is told, when it is looked for, and for how long an unseen machine may be billed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from members import engine_over, stand

from lepton_sdk._engine.launch.watchdog import (
    boot_seconds,
    check_watchdog,
    folder_of,
    kept_seconds,
    startup_script,
    unseen_seconds,
)
from lepton_sdk.domain.job import Limits
from lepton_sdk.domain.stage import Stage
from lepton_sdk.spi import PowerOff, WatchdogWay
from lepton_sdk.testing import FAKE_SPEC

_TIMINGS = evolve(FAKE_SPEC.timings, boot=300, boot_by_type={"h100x8": 600})
_WATCHED = evolve(FAKE_SPEC, power_off=PowerOff.ENDS, watchdog=WatchdogWay.STARTUP, timings=_TIMINGS)
_KEPT = evolve(_WATCHED, power_off=PowerOff.KEEPS)
_LOGIN = evolve(_WATCHED, watchdog=WatchdogWay.LOGIN)


def test_a_type_that_boots_longer_has_its_own_time(tmp_path: Path) -> None:
    with engine_over(tmp_path, spec=_WATCHED) as engine:
        offer = stand(engine).record.offer
        assert boot_seconds(engine, offer) == 600
        assert boot_seconds(engine, evolve(offer, instance_type="l4")) == 300


@pytest.mark.parametrize(("spec", "has"), [(_WATCHED, True), (_KEPT, False), (_LOGIN, False), (FAKE_SPEC, False)])
def test_the_vendor_gets_a_script_where_it_runs_one_and_a_power_off_may_end_the_bill(
    spec: object, has: bool, tmp_path: Path
) -> None:
    with engine_over(tmp_path, spec=spec) as engine:  # type: ignore[arg-type]
        member = stand(engine, Stage.INTENDED)
        assert bool(startup_script(engine, member.run, member.record)) is has


def test_a_machine_waits_for_its_output_to_be_fetched_as_long_as_the_job_says() -> None:
    assert kept_seconds(Limits()) == 3600
    assert kept_seconds(Limits(keep=60)) == 60


def test_where_there_is_no_watchdog_none_is_looked_for(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        assert asyncio.run(check_watchdog(member, member.node)) is None


def test_an_executor_that_can_see_none_says_nothing(tmp_path: Path) -> None:
    with engine_over(tmp_path, spec=_WATCHED) as engine:
        member = stand(engine)
        assert asyncio.run(check_watchdog(member, member.node)) is None


def test_the_node_is_told_of_it_only_once_it_was_seen_to_live(tmp_path: Path) -> None:
    with engine_over(tmp_path, spec=_WATCHED) as engine:
        record = stand(engine).record
        assert folder_of(record) == ""
        assert folder_of(evolve(record, armed_at=engine.clock.now()))


def test_what_nobody_saw_may_have_been_billed_once_its_own_watchdog_can_have_ended_it(tmp_path: Path) -> None:
    with engine_over(tmp_path, spec=_WATCHED) as engine:
        member = stand(engine, Stage.INTENDED)
        soonest = 600 + 900
        engine.clock.time += timedelta(seconds=soonest - 1)  # type: ignore[attr-defined]
        assert unseen_seconds(engine, member.run, member.record) == 0
        engine.clock.time += timedelta(seconds=1)  # type: ignore[attr-defined]
        assert unseen_seconds(engine, member.run, member.record) == soonest


def test_without_a_watchdog_a_machine_stays_until_somebody_sees_it(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.INTENDED)
        engine.clock.time += timedelta(days=3)  # type: ignore[attr-defined]
        assert unseen_seconds(engine, member.run, member.record) == 0
