"""A fleet on a bad day: quiet hours, too few hosts, full disks, slow hosts, GPUs that fail under a job; and rented rivals."""

from __future__ import annotations

import getpass
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, Resources, RunState
from lepton_sdk._engine import timing
from lepton_sdk.domain import retry
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.retry import Retry, Rule
from lepton_sdk.errors import NoCapacity, NoOffers
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer


def _span(begin: timedelta, end: timedelta) -> str:
    now = datetime.now(UTC)
    return f"{now + begin:%H:%M}-{now + end:%H:%M}"


def _written(own_home: Path, *tables: dict[str, object]) -> None:
    """Hosts in the user's own configuration."""
    blocks = ["[[providers.byoc.hosts]]\n" + "".join(f"{k} = {v!r}\n" for k, v in table.items()) for table in tables]
    folder = own_home / ".config/lepton"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text("".join(blocks))
    (folder / "config.toml").chmod(0o600)


def _table(name: str, host: Any, **more: object) -> dict[str, object]:
    address = {"address": "127.0.0.1", "port": host.server.port, "user": getpass.getuser()}
    return {"name": name, "group": "lab", "price_per_hour": 4} | address | more


def _job(command: str, gpu: str | None = "H100:2", **more: Any) -> Job:
    return Job(command, resources=Resources(gpu=gpu, regions=["lab"]), **more)


def test_no_new_work_comes_in_quiet_hours_and_what_runs_goes_on(far: list[Any], lepton: Any, own_home: Path) -> None:
    far[0].has("gpus 2")
    _written(own_home, _table("one", far[0]))
    lepton("byoc", "check")
    with Client() as client:
        run = client.submit(_job("while ! [ -e $HOME/go ]; do sleep 0.05; done; echo went on"))
        follower = ThreadPoolExecutor(1).submit(_wait, run.id)
        end = time.monotonic() + 60
        while not far[0].held():
            assert time.monotonic() < end
        _written(own_home, _table("one", far[0], quiet_hours=[_span(-timedelta(hours=1), timedelta(hours=2))]))
        (far[0].server.home / "go").touch()
        follower.result(120)
        assert client.get(run.id).state is RunState.SUCCEEDED
    with Client() as client:
        with pytest.raises(NoOffers):
            client.run(_job("echo never"))
        assert far[0].held() == []
    # Hours that are over keep nothing away.
    _written(own_home, _table("one", far[0], quiet_hours=[_span(-timedelta(hours=3), -timedelta(hours=1))]))
    with Client() as client:
        assert client.run(_job("true")).state is RunState.SUCCEEDED


def _wait(run: str) -> None:
    with Client() as client:
        client.wait(run)


def test_more_nodes_than_hosts_are_refused_and_nothing_is_held(fleet: list[Any]) -> None:
    with Client() as client:
        with pytest.raises(NoOffers, match="3 can be taken now, 4 are wanted"):
            client.run(_job("true", "H100:1", nodes=4))
        assert [host.held() for host in fleet] == [[], []]
        assert client.run(_job("true", "H100:1", nodes=3)).state is RunState.SUCCEEDED


@pytest.mark.parametrize(("rented", "first"), [("9", "byoc"), ("3", "fake")])
def test_owned_and_rented_stand_in_one_plan_at_the_users_price(rented: str, first: str, fleet: list[Any], tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud", [fake_offer("rented", count=2, price=Money(rented), region="lab")])
    with Client(providers={FAKE_SPEC: cloud}) as client:
        plan = client.route(_job("true"))
        assert {candidate.offer.provider for candidate in plan} == {"byoc", "fake"}
        assert plan.candidates[0].offer.provider == first
        assert {str(candidate.offer.price) for candidate in plan} == {"4", rented}
        run = client.run(_job("true"))
        assert (run.state, run.provider) == (RunState.SUCCEEDED, first)


def test_one_machine_under_two_names_in_the_configuration_counts_once(far: list[Any], lepton: Any, own_home: Path) -> None:
    far[0].has("gpus 2")
    _written(own_home, _table("one", far[0]), _table("again", far[0], address="localhost"))
    lepton("byoc", "check")
    plan = lepton("route", "--gpu", "H100:1", "--region", "lab")
    (ours,) = (row for row in plan["candidates"] if row["provider"] == "byoc")
    assert ours["available_count"] == 2


def test_a_full_disk_on_one_host_sends_the_job_to_the_other(fleet: list[Any], small_disk: Path, lepton: Any) -> None:
    home = fleet[1].server.home
    for path in (home / ".lepton", home / ".cache"):
        path.mkdir(exist_ok=True)
        shutil.copytree(path, small_disk / path.name)
        shutil.rmtree(path)
        path.symlink_to(small_disk / path.name)
    with (small_disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    with Client() as client:
        # The cheaper host is asked first and cannot write down who holds its GPU.
        run = client.run(_job("echo $HOME", "H100:1"))
        assert run.state is RunState.SUCCEEDED
        assert b"".join(client.logs(run.id)).decode().strip() == str(fleet[0].server.home)
    assert "No space left on device" in str(lepton("byoc", "cordon", "two", code=1))


def test_a_host_that_answers_slowly_still_serves(fleet: list[Any], lepton: Any) -> None:
    server = fleet[1].server
    config = server.folder / "sshd_config"
    slow = server.folder / "slow"
    slow.write_text('#!/bin/sh\nsleep 2\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')
    slow.chmod(0o755)
    config.write_text(config.read_text() + f"ForceCommand {slow}\n")
    server.stop()
    server.begin()
    (row,) = lepton("byoc", "check", "two")
    assert row["health"] == "healthy"
    with Client() as client:
        run = client.run(_job("echo slowly; exit 3", "H100:1"))
        assert (run.state, run.exit_code) == (RunState.FAILED, 3)
        assert b"".join(client.logs(run.id)) == b"slowly\n"
    assert fleet[1].held() == []


def test_a_host_that_falls_silent_is_replaced_once_its_job_has_stopped_there(
    fleet: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell a cut cable from a dead host. The node's lease ends the job; the host is given back when it is there."""
    monkeypatch.setattr(retry, "_SHORTEST_SILENCE", 1)
    monkeypatch.setattr(timing, "USUAL", evolve(timing.USUAL, silence=5.0, leave=1.0))
    pid, both = tmp_path / "pid", tmp_path / "both"
    script = f"if [ $LEPTON_JOB_FAILURE_COUNT = 0 ]; then echo $$ >{pid}; sleep 600; else ! kill -0 $(cat {pid}) || : >{both}; fi"
    again = {"interruption": {"count": 1, "unreachable": 10, "backoff": 1}}
    with Client() as client:
        run = client.submit(_job(script, "H100:1", retry=again))
        following = ThreadPoolExecutor(1).submit(client.wait, run.id)
        end = time.monotonic() + 120
        while not pid.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        fleet[1].server.stop()
        ended = following.result(240)
        assert ended.state is RunState.SUCCEEDED, ended.error
        assert not both.exists()
        first, second = ended.nodes
        assert (first.stopped, first.awaited, first.open) == (True, False, True)
        assert "stopped the job by itself" in ended.history[0].message
        assert first.node is not None
        assert second.node is not None
        assert second.node.id != first.node.id
        assert [line.run for line in client.nodes()] == [run.id]
        assert fleet[1].held()
        fleet[1].server.begin()
        # A host that did not answer is left alone for half a minute.
        end = time.monotonic() + 120
        while client.nodes():
            assert time.monotonic() < end
            client.reconcile()
            time.sleep(1)
    assert [host.held() for host in fleet] == [[], []]


def test_an_offer_of_gpus_that_are_not_there_any_more_is_refused(owners: list[Any], fleet: list[Any]) -> None:
    offer = next(o for o in owners[0].offers(Resources(gpu="H100:2")) if o.gpu_count == 2)
    fleet[0].has("gpus 1")
    with pytest.raises(NoCapacity, match="one is unhealthy: 1 GPUs are seen, it should have 2"):
        owners[0].take("H100:2", "t1", offer=offer)
    assert fleet[0].held() == []


@pytest.mark.parametrize(
    ("sickness", "said"),
    [("gpu 1 lost 1", "GPU 1: GPU is lost"), ("xid 79", "XID 79")],
    ids=["lost", "xid-79"],
)
def test_a_gpu_that_fails_under_a_job_moves_it_and_cordons_the_host(
    sickness: str, said: str, far: list[Any], lepton: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "USUAL", evolve(timing.USUAL, health=0.5))
    for name, host in zip(("one", "two"), far, strict=True):
        host.has("gpus 2")
        lepton("byoc", "add", "--name", name, "--group", "lab", host.target)
    # The job itself notices nothing: it would run on there.
    script = "case $HOME in *host0) echo begun; sleep 300;; esac; echo moved"
    job = _job(script, retry=Retry(interruption=Rule(count=2, backoff=1)))
    with Client() as client:
        run = client.submit(job)
        follower = ThreadPoolExecutor(1).submit(_wait, run.id)
        until(lambda: far[0].held() and b"begun" in b"".join(client.logs(run.id)), 60)
        if sickness.startswith("gpu"):
            far[0].has("gpus 2", sickness)
        else:
            bus = next(gpu["pci"] for gpu in lepton("byoc", "check", "one")[0]["probe"]["gpus"] if gpu["index"] == 1)
            since_boot = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1e6)
            far[0].write("dev/kmsg", f"6,1,{since_boot},-;NVRM: Xid (PCI:{bus}): 79, pid=1, it has fallen off the bus.\n")
        follower.result(180)
        record = client.get(run.id)
        output = b"".join(client.logs(run.id))
    assert (record.state, output) == (RunState.SUCCEEDED, b"begun\nmoved\n")
    (attempt,) = record.history
    assert (attempt.cause, attempt.error) == ("interruption", "NodeLost")
    assert "GPU-00000001-0000-4000-8000-000000000000" in attempt.message
    assert said in attempt.message
    one = next(row for row in lepton("byoc", "list") if row["host"] == "one")
    assert one["cordon"]
    assert [host.held() for host in far] == [[], []]
