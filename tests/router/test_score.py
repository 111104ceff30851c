"""The score: waiting and interruptions as money."""

from __future__ import annotations

from typing import Any

from market import NOW, USABLE, acme, order, plan_of

from lepton_sdk.catalog import Catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, Terms, TermsKind
from lepton_sdk.router import Standing, route
from lepton_sdk.router.score import SPOT_RISK, WAIT_PER_HOUR


def test_owned_machines_win_at_equal_score() -> None:
    own = Offer("mine", "desk", terms=Terms(TermsKind.OWNED), price=Money(2), start_seconds=60)
    assert order(plan_of(Job("true"), acme("a", "2", start_seconds=60), own)) == ["desk", "a"]
    assert order(plan_of(Job("true"), acme("a", "1", start_seconds=60), own)) == ["a", "desk"]


def test_a_job_without_gpus_leaves_gpus_to_others_at_equal_score() -> None:
    fields: Any = {"terms": Terms(TermsKind.OWNED), "price": Money(0)}
    both = [Offer("mine", "all-gpus", gpu=Gpu("L4"), gpu_count=2, **fields), Offer("mine", "plain", **fields)]
    assert order(plan_of(Job("true"), *both)) == ["plain", "all-gpus"]


def test_waiting_weighs_more_for_people_than_for_training() -> None:
    slow, quick = acme("slow", "3", start_seconds=1800), acme("quick", "5", start_seconds=60)
    limits = {"duration": "1h"}
    assert order(plan_of(Job("true", workload="training", limits=limits), slow, quick)) == ["slow", "quick"]
    assert order(plan_of(Job("true", workload="interactive", limits=limits), slow, quick)) == ["quick", "slow"]
    assert WAIT_PER_HOUR["interactive"] > WAIT_PER_HOUR["inference"] > WAIT_PER_HOUR["training"]  # type: ignore[index]


def test_spot_is_penalised_where_an_interruption_hurts() -> None:
    spot, firm = acme("spot", "4", terms=Terms(TermsKind.SPOT)), acme("firm", "5")
    either = {"spot": "any"}
    assert order(plan_of(Job("true", resources=either), spot, firm)) == ["spot", "firm"]
    for workload in ("inference", "interactive"):
        assert order(plan_of(Job("true", resources=either, workload=workload), spot, firm)) == ["firm", "spot"]
    assert SPOT_RISK["training"] == 1  # type: ignore[index]


def test_machines_that_come_one_by_one_are_paid_while_they_wait() -> None:
    """At 12 seconds from one create call to the next, the first of 101 machines waits 20 minutes for the last."""
    job = Job("true", nodes=101, limits={"duration": "1h"})
    slow, whole = acme("big", "3.60", start_seconds=60), Offer("bolt", "big", price=Money("3.70"), start_seconds=60)
    standing = {"acme": Standing(usable=True, launch_gap=12), "bolt": USABLE}
    plan = route(job, Catalog([slow, whole]), standing=standing, now=NOW)
    best, second = plan.candidates
    assert (best.offer.provider, str(best.expected_cost), best.start_seconds) == ("bolt", "373.7000", 60)
    # 101 machines at 3.60 an hour for an hour, and 10 minutes each on average before it.
    assert (second.offer.provider, str(second.expected_cost), second.start_seconds) == ("acme", "424.2000", 1260)
    one = route(job.with_(nodes=1), Catalog([slow, whole]), standing=standing, now=NOW)
    assert one.best is not None
    assert (one.best.offer.provider, str(one.best.expected_cost)) == ("acme", "3.6000")
