"""Open MPI between the nodes of one run that have no way into each other: real ranks, on hosts in namespaces of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Run, RunState


def _output(client: Client, run: Run) -> str:
    return b"".join(client.logs(run.id)).decode()


def test_ranks_of_two_hosts_meet_and_add_up(apart: Client, mpi_job: Any) -> None:
    run = apart.run(mpi_job("./sum; cat .lepton-hosts >&2"))
    output = _output(apart, run)
    assert run.state is RunState.SUCCEEDED, output
    told = {line[4:] for line in output.splitlines() if "adds up" in line}
    assert told == {f"rank {n} of 4 on node {n // 2} adds up to 15, a 'quoted' $(word)" for n in range(4)}
    # The names that other launchers have in every process, counted by process.
    names = {line.split(" ", 1)[1] for line in output.splitlines() if " slots=2" in line}
    assert len(names) == 2


@pytest.mark.parametrize("failing", [0, 3])
def test_a_rank_that_fails_ends_all_and_every_node_keeps_its_code(apart: Client, mpi_job: Any, failing: int) -> None:
    run = apart.run(mpi_job(f"./sum {failing}"))
    assert (run.state, run.exit_code) == (RunState.FAILED, 9), _output(apart, run)
    guilty = run.members[failing // 2]
    assert guilty.exit_code == 9 or guilty.reason == "peer"
    assert all(node.exit_code is not None for node in run.members)


def test_two_nodes_on_one_host_stay_two(together: Client, mpi_job: Any) -> None:
    command = 'echo "rank $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE on $NODE_RANK in ${PWD%/work}"; ./sum'
    run = together.run(mpi_job(command))
    output = _output(together, run)
    assert run.state is RunState.SUCCEEDED, output
    places = {line[4:].partition(" in ")[0] for line in output.splitlines() if " in /" in line}
    assert places == {f"rank {n} of 4, {n % 2} of 2 on {n // 2}" for n in range(4)}
    assert {line[-3:] for line in output.splitlines() if " in /" in line} == {"1-0", "1-1"}


def test_one_node_needs_nobody_to_wait(together: Client, mpi_job: Any) -> None:
    run = together.run(evolve(mpi_job("./sum"), nodes=1))
    assert run.state is RunState.SUCCEEDED
    told = {line.partition(",")[0] for line in _output(together, run).splitlines()}
    assert told == {f"rank {n} of 2 on node 0 adds up to 3" for n in range(2)}


def test_a_node_without_mpirun_is_told(together: Client, mpi_job: Any, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "tr", "cat"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")
    job = evolve(mpi_job("./sum", env={"PATH": str(tmp_path / "bin")}), setup=None)
    run = together.run(job)
    assert (run.state, run.exit_code) == (RunState.FAILED, 127)
    assert "launcher mpi needs Open MPI 4 and python3 on every node" in _output(together, run)
