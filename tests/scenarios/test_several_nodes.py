"""Runs of several nodes: all or none, one that fails ends the attempt, every node knows its place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lepton_sdk import Client, Job, RunState
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import NoCapacity, UsageError
from lepton_sdk.spi import Launch, Offer
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]
_NAMES = (
    "NNODES NODE_RANK RANK WORLD_SIZE NGPUS MASTER_ADDR MASTER_PORT HOST_ADDRS LEPTON_JOB_TOTAL_WORKERS LEPTON_JOB_WORKER_INDEX"
)


def lines(client: Client, run: str, **more: Any) -> list[str]:
    return b"".join(client.logs(run, **more)).decode().splitlines()


def test_every_node_knows_its_place(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    words = " ".join(f"${name}" for name in _NAMES.split())
    client = make_client(cloud)
    run = client.run(make_job(f'echo {words}; cat "$HOSTFILE"', nodes=3))
    assert (run.state, run.attempts, run.exit_code) == (RunState.SUCCEEDED, 1, 0)
    assert [node.rank for node in run.members] == [0, 1, 2]
    assert len({node.token for node in run.members}) == 3
    for rank in range(3):
        first, *hosts = lines(client, run.id, node=rank)
        port = first.split()[6]
        assert first == f"3 {rank} {rank} 3 8 127.0.0.1 {port} 127.0.0.1,127.0.0.1,127.0.0.1 3 {rank}"
        assert 29500 <= int(port) < 30500
        assert hosts == ["127.0.0.1 slots=8"] * 3
    assert len(cloud.machines()) == 3
    assert cloud.running() == []


def test_lines_of_several_nodes_bear_their_node(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    seen: list[bytes] = []
    run = client.run(make_job('echo first; printf "last of $RANK"', nodes=2), on_output=seen.append)
    expected = ["[0] first", "[0] last of 0", "[1] first", "[1] last of 1"]
    assert sorted(b"".join(seen).decode().splitlines()) == expected
    assert sorted(lines(client, run.id)) == expected
    assert lines(client, run.id, node=1, offset=6) == ["last of 1"]
    with pytest.raises(UsageError, match="counts the bytes of one node"):
        lines(client, run.id, offset=3)
    with pytest.raises(UsageError, match="has the nodes 0 to 1"):
        lines(client, run.id, node=2)


def test_one_failing_node_ends_the_others(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    run = client.run(make_job('if [ "$RANK" = 1 ]; then exit 7; fi; sleep 300', nodes=3))
    assert (run.state, run.exit_code) == (RunState.FAILED, 7)
    assert [node.reason for node in run.members] == ["peer", "exit", "peer"]
    shown: Any = run.to_dict(run.created_at)["nodes"]
    assert [(node["rank"], node["exit_code"]) for node in shown] == [(0, 143), (1, 7), (2, 143)]
    assert cloud.running() == []


def test_a_failed_attempt_is_made_again_whole(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    command = 'test "$LEPTON_JOB_FAILURE_COUNT" = 1 || test "$RANK" = 0 || exit 5; echo done'
    client = make_client(cloud)
    run = client.run(make_job(command, nodes=2, retry={"error": {"count": 1, "backoff": 1}}))
    assert (run.state, run.attempts, len(run.nodes)) == (RunState.SUCCEEDED, 2, 4)
    assert [(a.number, a.error, a.message) for a in run.history] == [(1, "JobFailed", "node 1: exit code 5")]


def test_a_refused_node_gives_the_others_back_and_the_next_offer_is_tried(
    tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    offers = [fake_offer("small"), fake_offer("large", price=Money("48"))]
    faults = [None, NoCapacity("only one left", provider="fake")]
    cloud = FakeProvider(tmp_path / "cloud", offers, faults=faults)
    run = make_client(cloud).run(make_job(nodes=3))
    assert (run.state, run.attempts) == (RunState.SUCCEEDED, 2)
    assert [node.offer.instance_type for node in run.nodes] == ["small"] * 3 + ["large"] * 3
    assert [a.message for a in run.history] == ["only one left"]
    # The third machine was not asked for once the second was refused.
    assert cloud.calls.count("acquire") in (5, 6)
    assert cloud.running() == []


def test_a_lost_answer_among_several_is_found(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = FakeProvider(tmp_path / "cloud", faults=[None, "lose-reply", None])
    run = make_client(cloud).run(make_job(nodes=3))
    assert (run.state, run.attempts, len(cloud.machines())) == (RunState.SUCCEEDED, 1, 3)
    assert cloud.running() == []


class Scarce(FakeProvider):
    """Has so many machines and no more, for all who ask."""

    most = 3

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        if len(self.running()) >= self.most:
            self.calls.append("refused")
            raise NoCapacity("none left", provider="fake")
        return await super().acquire(offer, launch)


def test_rivals_take_turns_and_neither_starves(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = Scarce(tmp_path / "cloud")
    retry = {"no_capacity": {"duration": "5m", "backoff": 1}}
    ended: list[Any] = []
    clients = [make_client(cloud) for _ in range(2)]

    def one(client: Client) -> None:
        ended.append(client.run(make_job("sleep 0.2", nodes=3, retry=retry)))

    threads = [Thread(target=one, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [run.state for run in ended] == [RunState.SUCCEEDED] * 2
    assert cloud.running() == []


def test_a_cap_refuses_the_whole(cloud: FakeProvider, tmp_path: Path, make_job: MakeJob) -> None:
    environment = {"LEPTON_SDK_LIMITS_HOURLY": "60", "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with Client(
        state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}, environment=environment
    ) as client:
        refused = client.run(make_job(nodes=3))
        assert (refused.state, cloud.calls.count("acquire")) == (RunState.REFUSED, 0)
        assert "$72.00 an hour" in str(refused.error)
        assert client.run(make_job(nodes=2)).state is RunState.SUCCEEDED


_CLIENT = """
import os, sys
from pathlib import Path
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider
folder, kill_at, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def on_event(event):
    global left
    if event.kind == kill_at:
        left -= 1
        if not left:
            os.kill(os.getpid(), 9)
with Client(state=folder / "state", cache=folder / "cache", providers={FAKE_SPEC: FakeProvider(folder / "cloud")}) as client:
    client.run(Job("sleep 0.2; echo ended", resources="H100:8", name="long", nodes=3), on_event=on_event)
"""


@pytest.mark.parametrize(
    "row", ["node.intended", "node.owned", "node.reachable", "node.running", "node.finished", "node.released"]
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_client_killed_in_the_middle_leaves_nothing(row: str, count: int, tmp_path: Path, make_client: MakeClient) -> None:
    command = [sys.executable, "-c", _CLIENT, str(tmp_path), row, str(count)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    cloud = FakeProvider(tmp_path / "cloud")
    client = make_client(cloud)
    run = client.wait("long")
    assert run.state is RunState.SUCCEEDED
    assert cloud.running() == []
    assert sorted(lines(client, run.id)) == [f"[{rank}] ended" for rank in range(3)]


def test_a_worker_begins_again_by_itself_and_the_others_go_on(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob
) -> None:
    command = 'echo "$RANK:$LEPTON_JOB_FAILURE_COUNT"; test "$RANK" = 0 || test "$LEPTON_JOB_FAILURE_COUNT" = 1 || exit 7'
    client = make_client(cloud)
    run = client.run(make_job(command, nodes=2, max_failure_retry=3))
    assert (run.state, run.attempts, len(cloud.machines())) == (RunState.SUCCEEDED, 1, 2)
    assert [node.failures for node in run.members] == [(), (7,)]
    assert [line for node in range(2) for line in lines(client, run.id, node=node) if "lepton" not in line] == [
        "0:0",
        "1:0",
        "1:1",
    ]
    (row,) = (event for event in client.events(run.id) if event.kind == "node.restarted")
    assert (row.token, row.data["failures"]) == (run.members[1].token, [7])
    # The last failure is the node's, and then the attempt's.
    run = client.run(make_job('test "$RANK" = 0 && sleep 300; exit 5', nodes=2, max_failure_retry=1))
    assert (run.state, run.exit_code) == (RunState.FAILED, 5)
    assert [(node.reason, node.failures) for node in run.members] == [("peer", ()), ("exit", (5,))]
