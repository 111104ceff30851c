"""Hosts of the user's own: GPUs handed out one by one over SSH, sick hosts left out, jobs that really run there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lepton_byoc.onhost.facts import host_facts
from lepton_sdk import Client, Job, Resources, RunState
from lepton_sdk.domain.node import NodeState
from lepton_sdk.domain.retry import Retry, Rule
from lepton_sdk.errors import NoCapacity, Unavailable


def _gpus(node: Any) -> list[str]:
    return list(filter(None, node.provider_data["gpus"].split(",")))


def test_parts_of_hosts_stand_in_one_plan_at_their_share_of_the_price(owners: list[Any], lepton: Any) -> None:
    shown = {(o.instance_type, o.gpu_count, str(o.price), o.available_count) for o in owners[0].offers(Resources(gpu="H100:1"))}
    # A half of one that costs 4, and the whole of one that costs 2.
    assert shown == {("lab-cpu", 0, "2", 2), ("lab-1xH100-SXM-80GB", 1, "2", 3)}
    plan = lepton("route", "--gpu", "H100:1", "--region", "lab")
    assert plan["candidates"][0]["provider"] == "byoc"


def test_two_clients_never_share_a_gpu(owners: list[Any], fleet: list[Any]) -> None:
    me, you = owners
    offer = next(o for o in me.offers(Resources(gpu="H100:1")) if o.gpu_count == 1)
    with ThreadPoolExecutor(2) as pool:
        mine = pool.submit(me.take, "H100:1", "t1", "a", offer)
        yours = pool.submit(you.take, "H100:1", "t2", "b", offer)
        nodes = [mine.result(120), yours.result(120), me.take("H100:1", "t3", "c", offer)]
    held = [(node.provider_data["host"], uuid) for node in nodes for uuid in _gpus(node)]
    assert len(set(held)) == 3
    with pytest.raises(NoCapacity, match=r"1 wanted, 0 of 0 are free"):
        you.take("H100:1", "t4", "d", offer)
    # One token is one node, for whoever looks.
    assert [node.token for node in you.found()] == ["t2"]
    assert me.found(token="t3") == [nodes[2]]
    assert me.release(nodes[0]).state is NodeState.GONE
    assert me.release(nodes[0]).state is NodeState.GONE
    assert you.take("H100:1", "t5", "e", offer).provider_data["host"] == nodes[0].provider_data["host"]


def test_nodes_of_one_run_go_to_different_hosts_first(owners: list[Any]) -> None:
    me = owners[0]
    offer = next(o for o in me.offers(Resources(gpu="H100:1")) if o.gpu_count == 1)
    hosts = [me.take("H100:1", f"t{n}", "run", offer).provider_data["host"] for n in range(3)]
    assert sorted(hosts[:2]) == ["one", "two"]
    assert hosts[2] == "one"


def test_a_boot_voids_what_was_held(owners: list[Any], fleet: list[Any]) -> None:
    node = owners[0].take("H100:2", "t1")
    assert owners[0].inspect(node).state is NodeState.READY
    fleet[0].write("proc/sys/kernel/random/boot_id", "another")
    assert owners[0].inspect(node).state is NodeState.GONE
    assert owners[0].found() == []


def test_a_lost_gpu_fails_its_node_and_cordons_the_host(owners: list[Any], fleet: list[Any], lepton: Any) -> None:
    whole = next(o for o in owners[1].offers(Resources(gpu="H100:2")) if o.gpu_count == 2)
    node = owners[0].take("H100:2", "t1")
    fleet[0].has("gpus 2", "gpu 1 lost 1")
    seen = owners[0].inspect(node)
    assert seen.state is NodeState.FAILED
    assert "GPU-00000001-0000-4000-8000-000000000000 is lost (GPU 1: GPU is lost)" in seen.detail
    owners[0].release(node)
    (row, _) = lepton("byoc", "list")
    assert (row["host"], row["health"]) == ("one", "unhealthy")
    assert "GPU is lost; reboot the host" in row["cordon"]
    # The other client is told by the host itself, also when the GPU is back: somebody has to look at it first.
    fleet[0].has("gpus 2")
    with pytest.raises(NoCapacity, match="one is cordoned"):
        owners[1].take("H100:2", "t2", offer=whole)
    lepton("byoc", "uncordon", "one")
    assert len(_gpus(owners[1].take("H100:2", "t3", offer=whole))) == 2


def test_an_xid_of_the_kernel_log_fails_the_node_of_its_gpu_alone(owners: list[Any], fleet: list[Any]) -> None:
    me = owners[0]
    offer = next(o for o in me.offers(Resources(gpu="H100:1")) if o.gpu_count == 1)
    first, second = (me.take("H100:1", f"t{n}", f"r{n}", offer) for n in range(2))
    both = {node.provider_data["host"]: node for node in (first, second)}
    third = me.take("H100:1", "t3", "r3", offer)
    nodes = [node for node in (*both.values(), third) if node.provider_data["host"] == "one"]
    fleet[0].write("dev/kmsg", "4,1,5000000,-;NVRM: Xid (PCI:0000:10:00): 79, GPU has fallen off the bus.\n")
    states = {_gpus(node)[0]: me.inspect(node) for node in nodes}
    sick = states["GPU-00000000-0000-4000-8000-000000000000"]
    assert sick.state is NodeState.FAILED
    assert "GPU 0 at 0000:10:00: XID 79" in sick.detail
    assert {node.state for uuid, node in states.items() if not uuid.startswith("GPU-00000000")} <= {NodeState.READY}


def test_a_host_that_is_gone_is_named_and_the_others_still_serve(owners: list[Any], fleet: list[Any]) -> None:
    me = owners[0]
    offer = next(o for o in me.offers(Resources(gpu="H100:1")) if o.gpu_count == 1)
    fleet[1].server.stop()
    assert me.take("H100:1", "t1", offer=offer).provider_data["host"] == "one"
    with pytest.raises(Unavailable, match="two does not say what it holds"):
        me.found()


def test_a_job_runs_there_with_its_gpus_and_gives_them_back(fleet: list[Any]) -> None:
    output: list[bytes] = []
    with Client() as client:
        job = Job("echo $CUDA_VISIBLE_DEVICES on $HOME", resources=Resources(gpu="H100:2", regions=["lab"]))
        run = client.run(job, on_output=output.append)
    assert run.state is RunState.SUCCEEDED
    uuids, _, home = b"".join(output).decode().strip().rpartition(" on ")
    assert uuids.count("GPU-") == 2
    assert home == str(fleet[0].server.home)
    assert fleet[0].held() == []


def test_a_job_that_fails_with_its_gpu_is_moved_and_the_record_says_which_gpu_and_why(
    far: list[Any], lepton: Any, until: Any
) -> None:
    for name, host in zip(("one", "two"), far, strict=True):
        host.has("gpus 2")
        lepton("byoc", "add", "--name", name, "--group", "lab", host.target)
    script = "case $HOME in *host0) echo begun; while ! [ -e $HOME/go ]; do sleep 0.1; done; exit 1;; esac; echo moved"
    job = Job(script, resources=Resources(gpu="H100:2", regions=["lab"]), retry=Retry(interruption=Rule(count=2, backoff=1)))
    with Client() as client:
        run = client.submit(job)
        follower = ThreadPoolExecutor(1)
        ended = follower.submit(_wait, run.id)
        until(far[0].held)
        until(lambda: b"begun" in b"".join(client.logs(run.id)))
        far[0].has("gpus 2", "gpu 1 lost 1")
        (far[0].server.home / "go").touch()
        ended.result(120)
        record = client.get(run.id)
    (attempt, *_) = record.history
    assert "GPU-00000001-0000-4000-8000-000000000000 is lost (GPU 1: GPU is lost)" in attempt.message
    assert attempt.cause == "interruption"
    assert record.state is RunState.SUCCEEDED


def _wait(run: str) -> None:
    with Client() as client:
        client.wait(run)


def test_nodes_meet_at_an_address_and_not_at_a_name_of_the_users_settings(fleet: list[Any], lepton: Any, own_home: Path) -> None:
    file = own_home / ".config/lepton/byoc.toml"
    assert lepton("byoc", "check", "one")[0]["probe"]["host"]["address"] is None, "over the loopback no other host comes in"
    file.write_text(file.read_text().replace('name = "one"', 'name = "one"\nprivate_address = "10.9.8.7"'))
    output: list[bytes] = []
    with Client() as client:
        job = Job("echo $THIS_ADDR $HOST_ADDRS", resources=Resources(gpu="H100:1", regions=["lab"]), nodes=2)
        assert client.run(job, on_output=output.append).state is RunState.SUCCEEDED
    assert b"".join(output).count(b"10.9.8.7") == 3


def test_the_address_is_the_one_at_which_ssh_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.1.1.1 50000 10.9.8.7 22")
    assert host_facts(Path("/"))["address"] == "10.9.8.7"
