"""One run from plan to bill, and everything that can end it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import until

from lepton_sdk import Client, Job, RunState
from lepton_sdk.errors import JobFailed
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_a_run_is_routed_run_accounted_for_and_given_back(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob
) -> None:
    client = make_client(cloud)
    output: list[bytes] = []
    kinds: list[str] = []
    run = client.run(make_job("echo accuracy 0.97"), on_output=output.append, on_event=lambda event: kinds.append(event.kind))
    assert (run.state, run.exit_code, run.attempts, run.provider) == (RunState.SUCCEEDED, 0, 1, "fake")
    assert b"".join(output) == b"accuracy 0.97\n"
    assert kinds == [
        "run.planned",
        "node.intended",
        "node.owned",
        "node.reachable",
        "node.running",
        "node.finished",
        "node.releasing",
        "node.released",
        "run.finished",
    ]
    assert cloud.running() == []
    assert client.nodes() == []
    record = run.current
    assert record is not None
    assert record.node is not None
    assert record.node.owner
    assert record.released_at is not None
    cost = run.cost(record.released_at)
    assert cost is not None
    # 24 an hour, by the second, and never for less than one second.
    assert 24 / 3600 - 1e-4 <= float(cost.amount) <= 24 / 3600 * 60


@pytest.mark.parametrize(
    ("command", "state", "code", "signal"),
    [
        ("exit 7", RunState.FAILED, 7, None),
        ("kill -SEGV $$", RunState.FAILED, 139, "SIGSEGV"),
    ],
)
def test_how_the_job_ended_is_kept(
    command: str,
    state: RunState,
    code: int,
    signal: str | None,
    cloud: FakeProvider,
    make_client: MakeClient,
    make_job: MakeJob,
) -> None:
    run = make_client(cloud).run(make_job(command))
    assert (run.state, run.exit_code, run.signal) == (state, code, signal)
    assert cloud.running() == []


def test_a_failed_setup_ends_the_run_and_says_so(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    run = make_client(cloud).run(make_job("echo never", setup="exit 4"))
    assert (run.state, run.exit_code) == (RunState.FAILED, 4)
    assert "setup" in str(run.error)


def test_the_time_limit_ends_the_job(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    run = make_client(cloud).run(make_job("sleep 60", limits={"duration": 1}))
    assert run.state is RunState.TIMED_OUT
    assert cloud.running() == []


def test_stop_ends_the_job_and_gives_the_machine_back(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    driver, other = make_client(cloud), make_client(cloud)
    done = []
    thread = threading.Thread(target=lambda: done.append(driver.run(make_job("sleep 60", name="long"))))
    thread.start()
    until(lambda: any(run.state is RunState.RUNNING for run in other.runs()), "the run is running")
    stopped = other.stop("long")
    thread.join(20)
    assert not thread.is_alive()
    assert stopped.state is done[0].state is RunState.STOPPED
    assert cloud.running() == []


def test_secrets_reach_the_job_and_nothing_else(tmp_path: Path, cloud: FakeProvider, make_job: MakeJob) -> None:
    secret = "tok-8d1f0c"
    with Client(
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        providers={FAKE_SPEC: cloud},
        environment={"HF_TOKEN": secret, "HOME": str(tmp_path)},
    ) as client:
        output: list[bytes] = []
        run = client.run(make_job('test "$HF_TOKEN" = tok-8d1f0c && echo same', secrets=["HF_TOKEN"]), on_output=output.append)
    assert run.exit_code == 0
    assert output == [b"same\n"]
    # The command above holds the text itself, so it is looked for in files other than the journal's rows of the job.
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in {"journal.db", "journal.db-wal"}:
            assert secret.encode() not in path.read_bytes() or b"test " in path.read_bytes(), path


def test_wait_can_raise(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    run = client.run(make_job("exit 3"))
    with pytest.raises(JobFailed):
        client.wait(run.id, check=True)
    assert client.wait(run.id).exit_code == 3
