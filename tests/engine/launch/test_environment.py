"""What a job is told about itself and its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lepton_sdk import Client, Job, RunState
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
