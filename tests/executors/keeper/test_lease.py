"""A run with a lease ends when nobody asks for it any more, here as behind SSH."""

from __future__ import annotations

from typing import Any

from lepton_sdk.spi.executor import ExecutionState


def test_lease_that_nobody_renews_ends_the_run(host: Any) -> None:
    run = host.start("echo ready; setsid sleep 60", lease=0.5)
    status = host.until(lambda: (host.folder(run) / "status").exists() and host.poll(run))
    assert status.state is ExecutionState.LOST
    assert "lease" in status.detail
    assert host.none_of(run)


def test_lease_that_is_renewed_holds(host: Any) -> None:
    run = host.start("sleep 1.5; echo end", lease=1)
    host.until(lambda: host.poll(run).state is ExecutionState.FINISHED)
    assert host.poll(run).exit_code == 0
    assert host.logs(run) == b"end\n"


def test_older_follower_renews_no_lease(host: Any) -> None:
    from attrs import evolve

    older = host.start("sleep 60", lease=1.0)
    host.start(evolve(older, epoch=2))
    status = host.until(lambda: (s := host.poll(older)).state is ExecutionState.LOST and s)
    assert "lease" in status.detail


def test_whoever_only_reads_the_output_renews_nothing(host: Any) -> None:
    run = host.start("echo ready; sleep 60", lease=1.0)
    assert host.logs(run, follow=True) == b"ready\n"
    assert host.poll(run).state is ExecutionState.LOST
