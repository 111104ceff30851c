"""A cable that is cut and a plug that is pulled, on a host in network and process namespaces of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import ip, skip_without_namespaces

from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState

_NUMBERS = itertools.count(os.getpid() % 200)


class Cable:
    """Two ends of a virtual cable, one of them in a namespace."""

    def __init__(self) -> None:
        number = next(_NUMBERS) % 250
        self.name = f"lepton{os.getpid()}-{number}"
        self.ours, self.theirs = f"lv{os.getpid()}a", f"lv{os.getpid()}b"
        self.address = f"10.213.{number}.2"
        gateway = f"10.213.{number}.1"
        ip("netns", "add", self.name)
        ip("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs, "netns", self.name)
        ip("addr", "add", f"{gateway}/24", "dev", self.ours)
        ip("link", "set", self.ours, "up")
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", self.theirs)
        ip("-n", self.name, "link", "set", self.theirs, "up")
        ip("-n", self.name, "link", "set", "lo", "up")

    def set(self, state: str) -> None:
        ip("link", "set", self.ours, state)

    def remove(self) -> None:
        ip("netns", "del", self.name, check=False)
        ip("link", "del", self.ours, check=False)


@pytest.fixture
def cable() -> Iterator[Cable]:
    skip_without_namespaces()
    cable = Cable()
    yield cable
    cable.remove()


@pytest.fixture
def far(cable: Cable, make_server: Any, make_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """An executor whose node is at the far end; a dead connection is noticed after three seconds."""
    monkeypatch.setattr("lepton_sdk._executors.transports.ssh.connection._ALIVE_SECONDS", 1)
    server = make_server()
    server.stop()
    config = server.folder / "sshd_config"
    config.write_text(config.read_text().replace("127.0.0.1", cable.address))
    server.address = cable.address
    # Its own process namespace too: when its first process dies, all of the host is gone at once.
    spaces = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    server.wrap = ["ip", "netns", "exec", cable.name, *spaces]
    server.begin()
    host = make_host(server)
    host.reach(host=cable.address, host_keys=(server.host_key,))
    return host


COUNT = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.01; done"
COUNTED = b"".join(b"line %d\n" % n for n in range(400))


def test_log_goes_on_at_the_byte_after_the_cable_was_cut(far: Any, cable: Cable) -> None:
    run = far.start(COUNT)

    async def read() -> bytes:
        seen, cut = b"", False
        async for piece in far.executor.logs(far.node, run, follow=True):
            seen += piece
            if not cut and b"line 20\n" in seen:
                cut = True
                cable.set("down")
                # The far end writes on; we notice nothing but silence until the connection counts as dead.
                far.until(lambda: (far.folder(run) / "log").read_bytes().endswith(b"line 100\n") or _ended(far, run))
                cable.set("up")
        return seen

    assert far.do(read()) == COUNTED
    assert far.poll(run).exit_code == 0


def _ended(far: Any, run: Any) -> bool:
    return Path(far.folder(run), "status").exists()


def test_cut_cable_is_unreachable_and_the_job_runs_on(far: Any, cable: Cable) -> None:
    run = far.start("echo ready; while ! [ -e go ]; do sleep 0.02; done; exit 6")
    far.until(lambda: far.logs(run) == b"ready\n")
    cable.set("down")
    with pytest.raises(NodeUnreachable):
        far.poll(run)
    # Closing waits for nobody who cannot answer.
    far.do(far.executor.aclose(), limit=10)
    cable.set("up")
    assert far.poll(run).state is ExecutionState.RUNNING
    (far.folder(run) / "work/go").touch()
    assert far.result(run)[0].exit_code == 6


def test_lease_ends_the_job_behind_a_cut_cable(far: Any, cable: Cable) -> None:
    run = far.start("sleep 60", lease=1.5)
    far.until(lambda: far.poll(run).state is ExecutionState.RUNNING)
    cable.set("down")
    # Nobody can tell it to end, and it ends.
    far.until(lambda: _ended(far, run))
    assert far.none_of(run)
    cable.set("up")
    far.do(far.executor.aclose())
    status = far.poll(run)
    assert status.state is ExecutionState.LOST
    assert "lease" in status.detail


def test_pulled_plug_is_unreachable_and_the_run_of_the_dead_host_is_lost(far: Any) -> None:
    run = far.start("echo ready; sleep 60")
    far.until(lambda: far.logs(run) == b"ready\n")
    far.server.process.kill()
    far.server.process.wait(10)
    far.until(lambda: far.none_of(run))
    with pytest.raises(NodeUnreachable):
        far.poll(run)
    # The host is set up again with its disk as it was; its processes are not.
    far.server.begin()
    status = far.poll(run)
    assert (status.state, status.exit_code) == (ExecutionState.LOST, None)
    assert Path(far.folder(run), "log").read_bytes() == b"ready\n"
    assert far.logs(run, follow=True) == b"ready\n"


def test_watchdog_ends_a_machine_behind_a_cut_cable(far: Any, cable: Cable, make_guarded: Callable[[Any], Any]) -> None:
    guarded = make_guarded(far)
    guarded.arm(keep=1.0)
    run = guarded.start("echo ready; while ! [ -e go ]; do sleep 0.02; done; echo done")
    far.until(lambda: far.logs(run) == b"ready\n")
    cable.set("down")
    # Nobody can reach it: within its limits it runs on, however long that takes.
    far.until(lambda: guarded.phase == "running", 60)
    aged = guarded.aged
    far.until(lambda: guarded.aged > aged + 2.5, 60)
    assert not guarded.off.exists()
    (far.folder(run) / "work/go").touch()
    far.until(guarded.off.exists, 60)
    assert (far.folder(run) / "log").read_bytes() == b"ready\ndone\n"
    cable.set("up")
    far.do(far.executor.aclose())


def test_watchdog_counts_on_after_the_plug_was_pulled_and_starts_nothing(far: Any, make_guarded: Callable[[Any], Any]) -> None:
    guarded = make_guarded(far)
    guarded.arm(boot=3600.0, keep=5.0)
    run = guarded.start("echo ready; sleep 600")
    far.until(lambda: far.logs(run) == b"ready\n")
    far.until(lambda: guarded.phase == "running", 60)
    far.server.process.kill()
    far.server.process.wait(10)
    aged = guarded.aged
    far.until(lambda: far.none_of(run))
    # The host comes back as its disk has it, and what starts with the machine starts.
    far.server.begin()
    far.do(far.executor.aclose())
    guarded.arm()
    assert guarded.aged >= aged
    # Its keeper died with the host: the run counts as ended, and the machine goes off though no job will ever begin there.
    far.until(guarded.off.exists, 90)
    assert far.none_of(run)
