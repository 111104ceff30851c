"""What is tried again, and that nothing is without a word."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from writing import NOW

from lepton_sdk import Client, Job, Money, Offer, RunState
from lepton_sdk._engine.runs.attempts import (
    PEER,
    after,
    blocked_names,
    blocks,
    deciding_node,
    due_at,
    is_explained,
    no_offer,
    pause_before,
    refusal,
    unasked,
)
from lepton_sdk.domain.events import AttemptFailed, RunFinished
from lepton_sdk.domain.record import Attempt, NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
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


# --- by themselves, without a provider --------------------------------------------------------------------------------


def _tried(**values: Any) -> Attempt:
    return evolve(Attempt(1, "fake", "h100x8", "NoCapacity", "", "", "", at=NOW.isoformat()), **values)


def _after(*history: Attempt, nodes: tuple[NodeRecord, ...] = (), stopped: bool = False, count: int = 1, **job: Any) -> Run:
    return Run("r", Job("true", nodes=count, **job), NOW, nodes=nodes, history=history, stop_requested=stopped)


def _ended(rank: int = 0, attempt: int = 1, **values: Any) -> NodeRecord:
    record = NodeRecord(f"t{attempt}{rank}", "r", attempt, rank, 1, fake_offer(seen_at=NOW), Stage.RELEASED, NOW, released_at=NOW)
    return evolve(record, **{"node": Node("fake", "m")} | values)


def test_a_provider_that_may_answer_soon_is_asked_twice_as_late_each_time_and_for_two_minutes_in_all() -> None:
    down, history, waits = Unavailable("it is down"), list[Attempt](), list[float]()
    while (wait := pause_before(_after(*history), "fake", down)) is not None:
        waits.append(wait)
        history.append(_tried(error="Unavailable", wait=wait))
    assert waits == [1, 2, 4, 8, 16, 32]
    # What came between says that it has answered.
    assert pause_before(_after(*history, _tried(error="NoOffers")), "fake", down) == 1
    assert pause_before(_after(*history), "another", down) == 1
    assert pause_before(_after(), "fake", NoCapacity("none left")) is None


@pytest.mark.parametrize(("asked", "wait"), [(7, 7), (0.1, 1), (-3, 1), (float("inf"), 1), ("soon", 1), (True, 1), (500, None)])
def test_the_vendors_own_pace_is_kept_as_far_as_it_is_one(asked: Any, wait: float | None) -> None:
    slower = RateLimited("slower")
    slower.retry_after = asked
    assert pause_before(_after(), "fake", slower) == wait


def test_what_was_refused_is_not_asked_again_before_the_next_look_at_the_market() -> None:
    first, second = _tried(blocked="offer a"), _tried(blocked="region b")
    assert blocked_names(_after(first, second)) == {"offer a", "region b"}
    assert blocked_names(_after(first, _tried(error="NoOffers"), second)) == {"region b"}


def test_an_error_that_blocks_nothing_by_itself_blocks_its_offer() -> None:
    offer = fake_offer(seen_at=NOW)
    assert blocks(offer, QuotaExceeded("no more")) == "region fake nowhere-1"
    assert blocks(offer, AuthError("the key is void")) == "provider fake"
    odd = NoCapacity("none left")
    odd.scope = BlockScope.NOTHING
    assert blocks(offer, odd) == "offer fake h100x8 nowhere-1 on-demand"


def test_the_node_that_was_refused_goes_before_the_one_that_failed_and_that_before_the_innocent() -> None:
    innocent, failed = _ended(0, reason=PEER), _ended(1, reason="exit", exit_code=3, finished_at=NOW)
    later = _ended(2, reason="exit", exit_code=4, finished_at=NOW + timedelta(seconds=1))
    lost, refused = _ended(3, detail="gone"), _ended(4, node=None)
    told = [(innocent, failed, later, lost, refused), (innocent, failed, later, lost), (innocent, failed, later), (innocent,)]
    assert [deciding_node(_after(nodes=nodes)) for nodes in told] == [refused, lost, failed, innocent]


@pytest.mark.parametrize(
    ("node", "state", "words"),
    [
        ({"reason": "exit", "exit_code": 0}, "succeeded", None),
        ({"reason": "exit", "exit_code": 3}, "failed", None),
        ({"reason": "setup", "exit_code": 4}, "failed", "setup ended with exit code 4"),
        ({"reason": "timeout"}, "timed-out", "the job reached its time limit and was ended"),
        ({"reason": "idle"}, "timed-out", "the job left its GPUs idle for longer than its limit and was ended"),
        ({"reason": "budget"}, "timed-out", "the run had used up its total limit before the job began"),
        ({"reason": "refused", "detail": "no such folder"}, "failed", "the job could not be started: no such folder"),
        ({"detail": "the provider says gone"}, "lost", "the provider says gone"),
    ],
)
def test_how_a_run_ends_by_the_reason_that_its_node_gave(node: dict[str, Any], state: str, words: str | None) -> None:
    (end,) = after(_after(nodes=(_ended(**node),)), NOW)
    assert isinstance(end, RunFinished)
    assert (end.state, end.error) == (state, words)


def test_a_job_of_several_nodes_names_the_one_that_ended_it() -> None:
    (end,) = after(_after(nodes=(_ended(0, reason=PEER), _ended(1, reason="setup", exit_code=4)), count=2), NOW)
    assert isinstance(end, RunFinished)
    assert end.error == "node 1: setup ended with exit code 4"


def test_another_attempt_is_made_as_long_as_the_job_allows_it_and_nobody_stopped_it() -> None:
    retry = {"interruption": 1}
    lost = _ended(detail="gone")
    (again,) = after(_after(nodes=(lost,), retry=retry), NOW)
    assert isinstance(again, AttemptFailed)
    assert (again.cause, again.error, again.token) == ("interruption", "NodeLost", lost.token)
    (over,) = after(_after(_tried(cause="interruption", number=0), nodes=(lost,), retry=retry), NOW)
    assert isinstance(over, RunFinished)
    (stopped,) = after(_after(nodes=(lost,), retry=retry, stopped=True), NOW)
    assert isinstance(stopped, RunFinished)
    assert stopped.state == "stopped"


def test_what_its_provider_refused_stands_in_the_history_already() -> None:
    assert list(after(_after(_tried(), nodes=(_ended(node=None),)), NOW)) == []
    assert is_explained(_after(_tried(), nodes=(_ended(),)))
    assert not is_explained(_after(_tried(error="NoOffers"), nodes=(_ended(),)))


def test_a_market_that_has_nothing_is_looked_at_again_or_ends_the_run() -> None:
    patient = _after(retry={"no_capacity": {"duration": "1h", "backoff": "30s"}})
    again = no_offer(patient, "nobody has one", NOW)
    assert isinstance(again, AttemptFailed)
    assert again.next == "look again in 30s"
    assert isinstance(no_offer(patient, "nobody has one", NOW + timedelta(hours=2)), RunFinished)
    assert isinstance(no_offer(_after(), "nobody has one", NOW), RunFinished)


def test_the_next_attempt_is_due_after_its_pause() -> None:
    assert due_at(_after()) is None
    assert due_at(_after(_tried(blocked="offer a"))) is None
    assert due_at(_after(_tried(error="Unavailable", wait=4.0))) == NOW + timedelta(seconds=4)
    waiting = _after(_tried(error="NoOffers"), retry={"no_capacity": {"duration": "1h", "backoff": "30s"}})
    assert due_at(waiting) == NOW + timedelta(seconds=30)


def test_a_provider_that_could_not_be_asked_is_asked_again_and_not_one_that_refused() -> None:
    row = unasked(_after(), {"one": NoCapacity("none"), "two": Unavailable("it is down")})
    assert row is not None
    assert (row.provider, row.wait, row.next) == ("two", 1, "ask two again in 1s")
    assert unasked(_after(stopped=True), {"two": Unavailable("it is down")}) is None


def test_a_refusal_says_what_can_be_done_and_hides_secrets() -> None:
    error = QuotaExceeded("no more for somebody", provider="fake", hint="ask for more")
    row = refusal(_after(), fake_offer(seen_at=NOW), error, lambda text: text.replace("somebody", "***"))
    assert (row.message, row.next, row.blocked) == ("no more for ***; next: ask for more", "next offer", "region fake nowhere-1")
