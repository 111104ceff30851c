"""What an executor is told of one start: the same at every call for it, under the epoch of whoever drives the run."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from members import engine_over, stand

from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk.domain.stage import Stage


def test_an_order_bears_the_epoch_of_who_drives_the_run_now(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.REACHABLE)
        run, record = member.run, member.record
        assert execution_of(engine, run, record, {}).epoch == record.epoch == 1
        engine.claims[run.id] = (4, lambda _: None)
        assert execution_of(engine, run, record, {}).epoch == 4
        assert execution_of(engine, run, record, {}, epoch=1).epoch == 1


def test_the_limits_of_the_job_are_the_nodes(tmp_path: Path) -> None:
    retry = {"interruption": {"count": 1, "unreachable": "10m"}}
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.RUNNING, limits={"duration": "2h", "idle": "30m"}, retry=retry)
        execution = execution_of(engine, member.run, member.record, {})
        assert (execution.time_limit, execution.idle_limit, execution.lease) == (7200, 1800, 600)


def test_a_watchdog_is_told_of_only_where_one_was_seen_to_live(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.REACHABLE)
        assert execution_of(engine, member.run, member.record, {}).watchdog == ""
        armed = evolve(member.record, armed_at=engine.clock.now())
        assert execution_of(engine, member.run, armed, {}).watchdog


def test_a_secret_is_in_the_order_and_in_no_text_of_it(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine, Stage.REACHABLE, secrets=["TOKEN"])
        execution = execution_of(engine, member.run, member.record, {"TOKEN": "t0k3n"})
        assert execution.secrets == {"TOKEN": "t0k3n"}
        assert "t0k3n" not in repr(execution)
