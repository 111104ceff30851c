"""The watchdog on a host of its own: armed over SSH, behind a cut cable, and not on a server that nobody rented."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._executors.watchdog.program import WatchdogPlan, install_script
from lepton_sdk.errors import NodeError
from lepton_sdk.spi.executor import ExecutionState, Watchdog


@pytest.fixture
def guarded(host: Any, make_guarded: Callable[[Any], Any]) -> Any:
    if os.getuid() != 0:
        pytest.skip("a watchdog is the superuser's")
    return make_guarded(host)


def test_it_is_installed_once_and_seen_to_live(guarded: Any) -> None:
    look = Watchdog(str(guarded.folder))
    executor, node = guarded.host.executor, guarded.host.node
    assert guarded.host.do(executor.armed(node, look)) is False
    guarded.arm()
    assert guarded.host.do(executor.armed(node, look)) is True
    first = (guarded.folder / "plan").read_text()
    guarded.arm(boot=1.0)
    assert (guarded.folder / "plan").read_text() == first


def test_a_dead_watchdog_counts_as_none(guarded: Any) -> None:
    guarded.arm()
    guarded.close()
    host, watchdog = guarded.host, Watchdog(str(guarded.folder))
    # A process that was sent a SIGKILL may live until it is its turn.
    host.until(lambda: host.do(host.executor.armed(host.node, watchdog)) is False)


def test_a_script_that_fails_says_why(guarded: Any) -> None:
    (guarded.folder.parent / "file").touch()
    watchdog = Watchdog(
        str(guarded.folder.parent / "file/x"), install_script(WatchdogPlan(1), str(guarded.folder.parent / "file/x"))
    )
    with pytest.raises(NodeError, match="Not a directory"):
        guarded.host.do(guarded.host.executor.armed(guarded.host.node, watchdog))


def test_polls_keep_a_machine_and_their_end_ends_it(guarded: Any) -> None:
    guarded.arm(boot=1.0, keep=1.0)
    run = guarded.start("echo begun; while ! [ -e go ]; do sleep 0.02; done")
    guarded.host.until(lambda: guarded.phase == "running", 60)
    # Within its limits a run is left alone, whether somebody looks or not.
    aged = guarded.aged
    guarded.host.until(lambda: guarded.aged > aged + 2.5, 60)
    assert not guarded.off.exists()
    (guarded.host.folder(run) / "work/go").touch()
    guarded.host.until(lambda: guarded.phase == "keeping", 60)
    aged = guarded.aged

    def fetched_for_long() -> bool:
        assert guarded.host.poll(run).state is ExecutionState.FINISHED
        return bool(guarded.aged > aged + 2.5)

    guarded.host.until(fetched_for_long, 60)
    assert not guarded.off.exists()
    guarded.host.until(guarded.off.exists, 60)


def test_no_job_begins_where_its_watchdog_cannot_hear_of_it(guarded: Any) -> None:
    guarded.folder.parent.joinpath("watchdog").write_text("not a folder")
    with pytest.raises(NodeError, match="cannot start the run"):
        guarded.start("echo never")
    (run,) = guarded.host.begun
    assert guarded.host.poll(run).state is ExecutionState.ABSENT


def test_a_server_that_nobody_rented_has_no_watchdog_and_its_lease_ends_the_processes_only(host: Any, tmp_path: Path) -> None:
    run = host.start("setsid sleep 300 & sleep 300", lease=0.5)
    host.until(lambda: (host.folder(run) / "status").exists(), 60)
    host.until(lambda: host.none_of(run))
    assert host.poll(run).state is ExecutionState.LOST
    # Nothing of a watchdog was made there, and nothing was told to power anything off.
    assert not list(Path(host.server.home).rglob("*watchdog*"))
    assert "lease" in host.poll(run).detail
