"""One run from plan to bill, and everything that can end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, Job, Money, RunState
from lepton_sdk._engine.launch.budget import time_limit
from lepton_sdk.domain.events import event_of
from lepton_sdk.errors import (
    AuthError,
    BlockScope,
    JobFailed,
    JobSpecError,
    NoCapacity,
    NoOffers,
    RateLimited,
    Unavailable,
    UsageError,
)
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


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


def test_a_total_budget_becomes_a_time_limit(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    # At 24 an hour, 50 buys 7500 seconds of the machine; the node is told what is left of them when the job begins, less the six
    # minutes in which its output is fetched and the machine goes.
    run = make_client(cloud).run(make_job(limits={"total": "50"}))
    assert run.current is not None
    assert run.current.node is not None
    began, since = run.current.running_at, run.current.node.since
    assert began is not None
    assert since is not None
    billed = began - since
    assert time_limit(run, run.current) == pytest.approx(7500 - 360 - billed.total_seconds())


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


def test_a_refusal_goes_to_the_next_offer_and_is_told(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cheap = fake_offer("cheap", price=Money("10"))
    cloud = FakeProvider(tmp_path / "cloud", [cheap, fake_offer("dear")], faults=[NoCapacity("none left")])
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.SUCCEEDED
    assert run.current is not None
    assert run.current.offer.instance_type == "dear"
    assert [(a.instance_type, a.error, a.message) for a in run.history] == [("cheap", "NoCapacity", "none left")]


def test_an_error_that_blocks_the_provider_ends_the_run_with_its_reason(
    tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    cloud = FakeProvider(tmp_path / "cloud", [fake_offer("a"), fake_offer("b")], faults=[AuthError("the key is void")])
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.REFUSED
    assert "the key is void" in str(run.error)
    assert cloud.calls.count("acquire") == 1


def test_a_provider_that_asks_for_a_slower_pace_is_asked_again(
    tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    cheap = fake_offer("cheap", price=Money("10"))
    slower = [RateLimited("slower", retry_after=1), Unavailable("not now")]
    cloud = FakeProvider(tmp_path / "cloud", [cheap, fake_offer("dear")], faults=slower)
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.SUCCEEDED
    assert run.current is not None
    assert run.current.offer.instance_type == "cheap"
    assert [(one.error, one.wait) for one in run.history] == [("RateLimited", 1), ("Unavailable", 2)]


@pytest.mark.parametrize("after", [121, 1e9])
def test_other_offers_are_taken_where_the_wait_is_too_long(
    after: float, tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    cheap, dear = fake_offer("cheap", price=Money("10")), fake_offer("dear")
    slow = RateLimited("slower", retry_after=after)
    slow.scope = BlockScope.OFFER
    cloud = FakeProvider(tmp_path / "cloud", [cheap, dear], faults=[slow])
    run = make_client(cloud).run(make_job())
    assert run.current is not None
    assert (run.state, run.current.offer.instance_type) == (RunState.SUCCEEDED, "dear")


def test_a_lost_reply_is_found_and_never_asked_for_twice(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = FakeProvider(tmp_path / "cloud", faults=["lose-reply"])
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.SUCCEEDED
    assert cloud.calls.count("acquire") == 1
    assert len(cloud.machines()) == 1
    assert cloud.running() == []


def test_boot_and_release_may_take_time(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = FakeProvider(tmp_path / "cloud", boot_seconds=0.2, release_seconds=0.2)
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.SUCCEEDED
    assert cloud.running() == []
    assert cloud.calls.count("inspect") > 1
    assert cloud.calls.count("release") > 1


def test_a_machine_that_never_boots_is_given_back(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    from attrs import evolve

    spec = evolve(FAKE_SPEC, timings=evolve(FAKE_SPEC.timings, boot=0.1))
    cloud = FakeProvider(tmp_path / "cloud", boot_seconds=3600)
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={spec: cloud}) as client:
        run = client.run(make_job())
    # Nothing ran there, so the next offer would be asked; there is none.
    assert run.state is RunState.REFUSED
    assert "not reachable 0 seconds after" in str(run.error)
    assert cloud.running() == []


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"workdir": "/no/such/folder"}, "workdir"),
        ({"secrets": ["NO_SUCH_SECRET"]}, "NO_SUCH_SECRET"),
    ],
)
def test_bad_input_starts_nothing_and_leaves_no_journal(
    fields: dict[str, object],
    word: str,
    cloud: FakeProvider,
    make_client: MakeClient,
    make_job: MakeJob,
    tmp_path: Path,
) -> None:
    with pytest.raises(JobSpecError, match=word):
        make_client(cloud).run(make_job(**fields))
    assert cloud.calls.count("acquire") == 0
    assert not (tmp_path / "state" / "journal.db").exists()


def test_a_job_that_nothing_satisfies_says_by_how_much(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob, tmp_path: Path
) -> None:
    with pytest.raises(NoOffers, match="14 above"):
        make_client(cloud).run(make_job(limits={"hourly": 10}, resources={"gpu": "H100:8", "providers": ["fake"]}))
    assert not (tmp_path / "state" / "journal.db").exists()


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


def test_logs_come_again_from_any_byte(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    run = client.run(make_job("printf 0123456789"))
    assert b"".join(client.logs(run.id)) == b"0123456789"
    assert b"".join(client.logs(run.id, offset=4)) == b"456789"
    assert b"".join(client.logs(run.id, offset=4, follow=True)) == b"456789"


def test_wait_can_raise(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    run = client.run(make_job("exit 3"))
    with pytest.raises(JobFailed):
        client.wait(run.id, check=True)
    assert client.wait(run.id).exit_code == 3


def test_a_run_is_named_by_its_id_its_jobs_name_or_the_beginning_of_its_id(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob
) -> None:
    client = make_client(cloud)
    run = client.run(make_job(name="digits"))
    assert client.get("digits").id == client.get(run.id[:12]).id == client.get(run.id).id == run.id
    # The end of an id, wildcards and parts that are too short hit nothing.
    for word in ("zzz", run.id[-6:], run.id[:3], run.id[0], "%", "____", f"{run.id[:5]}%", run.id + "0"):
        with pytest.raises(UsageError, match="no run is called"):
            client.get(word)
    for word in ("", " ", "\t"):
        with pytest.raises(UsageError, match="this name is empty"):
            client.stop(word)


def test_a_name_goes_before_the_beginning_of_an_id_and_an_open_run_before_others(
    tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    client = make_client(FakeProvider(tmp_path / "cloud"))
    first = client.run(make_job(name="twice"))
    named = client.run(make_job(name=first.id[:8].replace(first.id[0], "a", 1)))
    begins = client.run(make_job(name="other"))
    journal = client._client._engine.journal
    # An open run is older here than an ended one of the same name.
    plan = event_of(
        "run.planned", "00000000000000000a", client.get(first.id).created_at, None, {"job": make_job(name="twice").to_dict()}
    )
    journal.append(plan)
    assert client.get("twice").id == plan.run
    assert client.get(named.name).id == named.id
    with pytest.raises(UsageError, match=f"names several runs.*{begins.id}"):
        client.get(first.id[:4])
    journal.append(event_of("run.planned", "00000000000000000b", plan.at, None, plan.data))
    with pytest.raises(UsageError, match=f"{plan.run[:-1]}b, {plan.run}"):
        client.stop("twice")
    assert not client.get(plan.run).stop_requested
    for run in (plan.run, "00000000000000000b"):
        client.stop(run)
    assert client.get("twice").id == first.id
