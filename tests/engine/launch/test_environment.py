"""What a job is told about itself and its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve
from members import engine_over, stand

from lepton_sdk import Client, Job, RunState
from lepton_sdk._engine.launch.environment import describe
from lepton_sdk.domain.access import CustomAccess, SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.stage import Stage
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_every_attempt_and_node_finds_the_same_checkpoint_place(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob, tmp_path: Path
) -> None:
    place = tmp_path / "a place"
    command = 'cd "$LEPTON_CHECKPOINT" && echo "$LEPTON_JOB_FAILURE_COUNT $RANK" >>seen; test "$LEPTON_JOB_FAILURE_COUNT" = 1'
    again = {"error": {"count": 1, "backoff": 1}}
    client = make_client(cloud)
    runs = [client.run(make_job(command, nodes=nodes, retry=again, checkpoint=str(place))) for nodes in (1, 2)]
    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 2
    assert sorted(path.name for path in place.iterdir()) == sorted(run.id for run in runs)
    assert (place / runs[0].id / "seen").read_text() == "0 0\n1 0\n"
    assert sorted((place / runs[1].id / "seen").read_text().splitlines())[-2:] == ["1 0", "1 1"]
    far = client.run(make_job('echo "$LEPTON_CHECKPOINT"', checkpoint="s3://models/tries/"))
    assert b"".join(client.logs(far.id)).decode() == f"s3://models/tries/{far.id}\n"


def test_a_single_node_finds_itself_at_its_own_host(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        member = stand(engine)
        told = describe(member.run, member.record)
        assert {told[name] for name in ("MASTER_ADDR", "THIS_ADDR", "HOST_ADDRS", "HOST_IPS")} == {"127.0.0.1"}
        assert (told["NNODES"], told["RANK"], told["NGPUS"]) == ("1", "0", "8")


def test_nodes_meet_at_the_first_one_and_know_their_own_place(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        for rank in (0, 1):
            stand(engine, Stage.REACHABLE, rank=rank, nodes=2)
        run = engine.journal.run(engine.journal.open_runs()[0])
        hosts = [SSHAccess("203.0.113.7", private_address="10.0.0.7"), CustomAccess("slurm", {}, {"PARTITION": "a"}, "node-9")]
        nodes = [evolve(one, node=Node("fake", "m", access=access)) for one, access in zip(run.nodes, hosts, strict=True)]
        run = evolve(run, nodes=tuple(nodes))
        first, second = (describe(run, node) for node in nodes)
        assert first["HOST_ADDRS"] == second["HOST_ADDRS"] == "10.0.0.7,node-9"
        assert (first["MASTER_ADDR"], second["MASTER_ADDR"]) == ("10.0.0.7", "10.0.0.7")
        assert (first["THIS_ADDR"], second["THIS_ADDR"]) == ("10.0.0.7", "node-9")
        assert first["MASTER_PORT"] == second["MASTER_PORT"]
        # What the provider sets for the job goes to its node alone.
        assert ("PARTITION" in first, second["PARTITION"]) == (False, "a")


def test_a_job_that_its_provider_submits_is_told_no_addresses_that_nobody_knows_yet(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        members = [stand(engine, Stage.INTENDED, rank=rank, nodes=2) for rank in (0, 1)]
        told = describe(members[1].again().run, members[1].record)
        assert "MASTER_ADDR" not in told
        assert told["RANK"] == "1"


def test_the_nodes_of_an_mpi_job_share_a_key_that_nobody_else_can_make(tmp_path: Path) -> None:
    with engine_over(tmp_path) as engine:
        for rank in (0, 1):
            stand(engine, Stage.REACHABLE, rank=rank, nodes=2, launcher="mpi")
        run = engine.journal.run(engine.journal.open_runs()[0])
        keys = {describe(run, node)["LEPTON_MPI_KEY"] for node in run.members}
        assert len(keys) == 1
        other = evolve(run, nodes=tuple(evolve(node, token=f"{node.token}x") for node in run.nodes))
        assert describe(other, other.members[0])["LEPTON_MPI_KEY"] not in keys
