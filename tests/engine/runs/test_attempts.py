"""What is tried again, and that nothing is without a word."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, Job, Money, Offer, RunState
from lepton_sdk.errors import (
    AuthError,
    BlockScope,
    MarketError,
    NoCapacity,
    QuotaExceeded,
    RateLimited,
    Unavailable,
)
from lepton_sdk.spi import Launch, Node, NodeState, Resources
from lepton_sdk.testing import FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


class Later(FakeProvider):
    """Sells nothing until it was asked some times."""

    closed_for = 3

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        async for offer in super().offers(resources):
            if self.calls.count("offers") > self.closed_for:
                yield offer


class Withdrawn(FakeProvider):
    """Promises machines of some types and takes the promise back when they are looked at."""

    withdrawn: dict[str, MarketError]

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        node = await super().acquire(offer, launch)
        return node.with_state(NodeState.PENDING) if offer.instance_type in self.withdrawn else node

    async def inspect(self, node: Node) -> Node:
        if node.instance_type in self.withdrawn:
            raise self.withdrawn[node.instance_type]
        return await super().inspect(node)


def test_an_error_is_retried_as_often_as_the_job_says(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    job = make_job(
        'echo failures $LEPTON_JOB_FAILURE_COUNT; test "$LEPTON_JOB_FAILURE_COUNT" = 2',
        retry={"error": {"count": 2, "backoff": 1}},
    )
    client = make_client(cloud)
    run = client.run(job)
    assert (run.state, run.attempts, run.exit_code) == (RunState.SUCCEEDED, 3, 0)
    assert [(attempt.error, attempt.cause) for attempt in run.history] == [("JobFailed", "error")] * 2
    assert b"".join(client.logs(run.id)) == b"failures 0\nfailures 1\nfailures 2\n"
    assert len(cloud.machines()) == 3
    assert cloud.running() == []


@pytest.mark.parametrize("retry", [None, {"interruption": 5}, {"error": 0}])
def test_nothing_is_retried_without_a_word(
    retry: dict[str, int] | None, cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob
) -> None:
    run = make_client(cloud).run(make_job("exit 1", retry=retry))
    assert (run.state, run.attempts) == (RunState.FAILED, 1)


def test_the_last_failure_ends_the_run(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    run = make_client(cloud).run(make_job("exit 9", retry={"error": {"count": 1, "backoff": 1}}))
    assert (run.state, run.attempts, run.exit_code) == (RunState.FAILED, 2, 9)


def test_a_run_can_wait_for_an_offer(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = Later(tmp_path / "cloud")
    run = make_client(cloud).run(make_job(retry={"no_capacity": {"duration": "1m", "backoff": 1}}))
    assert run.state is RunState.SUCCEEDED
    assert {attempt.error for attempt in run.history} == {"NoOffers"}


def test_what_was_blocked_is_asked_again_after_a_pause(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = FakeProvider(tmp_path / "cloud", [fake_offer()], faults=[NoCapacity("none left")])
    run = make_client(cloud).run(make_job(retry={"no_capacity": {"duration": "1m", "backoff": 1}}))
    assert run.state is RunState.SUCCEEDED
    assert [attempt.error for attempt in run.history] == ["NoCapacity", "NoOffers"]


def test_stock_that_is_denied_after_it_was_promised_leads_to_the_next_offer(
    tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    offers = [fake_offer("cheap", price=Money("20")), fake_offer("dear", price=Money("30"))]
    cloud = Withdrawn(tmp_path / "cloud", offers)
    cloud.withdrawn = {"cheap": NoCapacity("out of stock after all", request="op-1")}
    run = make_client(cloud).run(make_job())
    assert (run.state, run.attempts) == (RunState.SUCCEEDED, 2)
    (attempt,) = run.history
    assert (attempt.error, attempt.instance_type, attempt.message) == ("NoCapacity", "cheap", "out of stock after all")
    assert attempt.blocked == "offer fake cheap nowhere-1 on-demand"
    never, ran = run.nodes
    assert never.cost(cloud._clock.now()) == Money("0")
    assert ran.offer.instance_type == "dear"
    assert cloud.running() == []


@pytest.mark.parametrize("error", [NoCapacity("none left"), QuotaExceeded("no more of these")])
def test_promises_that_are_all_taken_back_end_the_run_without_a_loop(
    error: MarketError, tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    cloud = Withdrawn(tmp_path / "cloud", [fake_offer("one", region="a"), fake_offer("two", region="b")])
    cloud.withdrawn = {"one": error, "two": error}
    run = make_client(cloud).run(make_job())
    assert (run.state, run.attempts) == (RunState.REFUSED, 2)
    assert cloud.calls.count("acquire") == 2
    assert error.message in (run.error or "")
    assert cloud.running() == []


def test_a_waiting_run_can_be_stopped(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = Later(tmp_path / "cloud")
    cloud.closed_for = 10**9
    driver, other = make_client(cloud), make_client(cloud)
    ended = []
    job = make_job(name="patient", retry={"no_capacity": {"duration": "1h"}})
    thread = threading.Thread(target=lambda: ended.append(driver.run(job)))
    thread.start()
    end = time.monotonic() + 20
    while not other.runs():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert other.stop("patient").state is RunState.STOPPED
    thread.join(20)
    assert ended[0].state is RunState.STOPPED


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
