"""What a provider is told about a machine: the same at every call, whoever makes it, and whenever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve, fields
from members import engine_over, stand

from lepton_sdk._engine.launch.order import launch_of
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.record import PREREQUISITE
from lepton_sdk.domain.stage import Stage
from lepton_sdk.spi import Launch, PowerOff, WatchdogWay
from lepton_sdk.testing import FAKE_SPEC

_RENTED = evolve(FAKE_SPEC, power_off=PowerOff.ENDS, watchdog=WatchdogWay.STARTUP)
_CALLED = ("announce", "leaving")


def told(launch: Launch) -> dict[str, object]:
    """Everything in it but what is called."""
    return {one.name: getattr(launch, one.name) for one in fields(Launch) if one.name not in _CALLED}


def test_a_second_call_hours_later_and_by_another_client_asks_for_the_same(tmp_path: Path) -> None:
    limits = {"duration": "1h", "total": 50}
    with engine_over(tmp_path, spec=_RENTED) as engine:
        member = stand(engine, Stage.INTENDED, limits=limits)
        first = told(launch_of(member, {}))
        engine.clock.time += timedelta(hours=7)  # type: ignore[attr-defined]
        second = told(launch_of(member, {}))
        run_id = member.run.id
    with engine_over(tmp_path, spec=_RENTED) as other:
        run = other.journal.run(run_id)
        again = told(launch_of(evolve(member, engine=other, run=run, record=run.nodes[0]), {}))
    assert first == second == again
    assert first["deadline"] == member.record.intended_at + timedelta(hours=1)
    assert "lepton" in str(first["startup_script"])


def test_without_a_limit_there_is_no_deadline_and_without_a_watchdog_no_script(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        launch = launch_of(stand(engine, Stage.INTENDED), {})
        assert (launch.deadline, launch.startup_script, launch.execution) == (None, "", None)


def test_each_node_of_an_attempt_knows_the_group_and_its_rank_in_it(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        groups = [launch_of(stand(engine, Stage.INTENDED, rank=rank, nodes=2), {}).group for rank in (0, 1)]
        assert [(group.id, group.rank, group.size) for group in groups] == [("group-1", 0, 2), ("group-1", 1, 2)]


@pytest.mark.parametrize("flag", ["submits_job", "starts_alone"])
def test_a_provider_that_submits_the_job_is_told_what_shall_run_with_its_secrets(flag: str, tmp_path: Path) -> None:
    spec = evolve(FAKE_SPEC, capabilities=FAKE_SPEC.capabilities | {flag})
    with engine_over(tmp_path, spec=spec) as engine:
        member = stand(engine, Stage.INTENDED, secrets=["TOKEN"])
        launch = launch_of(member, {"TOKEN": "t0k3n"})
        assert launch.execution is not None
        assert (launch.execution.job.command, launch.execution.secrets) == ("true", {"TOKEN": "t0k3n"})
        # The epoch of its entry, not of whoever asks now: a second call is byte for byte the same.
        engine.claims[member.run.id] = (9, lambda _: None)
        assert launch_of(member, {"TOKEN": "t0k3n"}).execution == launch.execution
        assert "t0k3n" not in repr(launch)


def test_what_a_node_announces_is_a_row_of_its_own_before_it_is_made(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.INTENDED)
        asyncio.run(launch_of(member, {}).announce("disk", "d-1"))
        assert member.again().record.announced == ("disk d-1",)


def test_what_all_nodes_share_hangs_on_none_of_them(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        members = [stand(engine, Stage.INTENDED, rank=rank, nodes=2) for rank in (0, 1)]
        # Both may be the first to need it.
        for member in members:
            asyncio.run(launch_of(member, {}).announce("network", f"n-{member.record.rank}", shared=True))
        run = engine.journal.run(members[0].run.id)
        (shared,) = run.prerequisites
        assert (shared.token, shared.rank, shared.price) == ("group-1", PREREQUISITE, Money("0"))
        assert shared.announced == ("network n-0", "network n-1")
        assert [node.announced for node in run.members] == [(), ()]
