"""What an offer must hold to serve a job: each reason, with its number."""

from __future__ import annotations

from typing import Any

import pytest
from market import box, plan_of

from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Terms, TermsKind


@pytest.mark.parametrize(
    ("asked", "limits", "fields", "reason", "detail"),
    [
        ({"gpu": "H200:8"}, {}, {}, "another GPU model", "H100-SXM-80GB is not H200"),
        ({"gpu": "H100-NVL:8"}, {}, {}, "another kind of this GPU", "H100-SXM-80GB is SXM, not NVL"),
        ({"gpu": "H100:4"}, {}, {}, "another number of GPUs", "has 8 GPUs, 4 are wanted"),
        ({"gpu": "H100:8"}, {}, {"gpu": None, "gpu_count": 0}, "no GPU", "has no GPU, H100:8 is wanted"),
        ({"gpu": "any:8", "gpu_memory": "94+"}, {}, {}, "other GPU memory", "has 80 GB per GPU, 94+ are wanted"),
        ({"cpus": 128}, {}, {}, "too few CPUs", "has 124 CPUs, 4 below 128"),
        ({"cpus": 128}, {}, {"cpus": None}, "CPUs not stated", "does not state its CPUs, 128 CPUs are wanted"),
        ({"memory_gib": 2000}, {}, {}, "too little memory", "has 1800 GiB of memory, 200 below 2000"),
        ({"disk_gib": 1500}, {}, {}, "too little disk", "has 1000 GiB of disk, 500 below 1500"),
        ({"interconnect": "RoCE"}, {}, {}, "another interconnect", "has InfiniBand, RoCE is wanted"),
        ({"regions": ["eu-*"]}, {}, {}, "outside the regions", "region north-1 is not eu-*"),
        ({"providers": ["bolt"]}, {}, {}, "outside the providers", "provider acme is not bolt"),
        ({}, {}, {"terms": Terms(TermsKind.SPOT)}, "spot", "is spot capacity, which can be taken back"),
        ({"spot": True}, {}, {}, "not spot", "is sold on-demand, spot is wanted"),
        ({}, {}, {"terms": Terms(TermsKind.RESERVED, 12)}, "reserved terms", "is sold as reserved-12m"),
        ({}, {"hourly": 35}, {}, "above the hourly limit", "costs 49.24 an hour, 14.24 above the limit 35"),
        ({}, {"hourly": 35}, {"price": None}, "price unknown", "the limit 35 cannot be kept"),
        ({}, {"hourly": 35}, {"price": Money(9, "EUR")}, "another currency", "is priced in EUR, the limit is in USD"),
        ({}, {"total": "0.5"}, {}, "above the total limit", "costs 0.8207 for one minute, above the total limit 0.5"),
        ({}, {}, {"availability": "no-capacity"}, "no capacity", "the provider has none left"),
        ({}, {}, {"availability": "busy"}, "busy", "is in use"),
        ({}, {}, {"availability": "no-quota"}, "no quota", "the account may not take it"),
        ({}, {}, {"availability": "withheld"}, "withheld", "is kept away from new work"),
        ({}, {}, {"availability": "withheld", "obstacle": "b1 is shut"}, "withheld", "b1 is shut"),
        ({"gpu": "H100:4"}, {}, {"obstacle": "GPU 3 is lost"}, "another number of GPUs", "4 are wanted; GPU 3 is lost"),
        ({}, {}, {"available_count": 0}, "too few free", "0 can be taken now, 1 are wanted"),
        ({}, {}, {"price": Money(0)}, "price in doubt", "the price is zero"),
    ],
)
def test_each_reason_and_its_number(
    asked: dict[str, Any], limits: dict[str, Any], fields: dict[str, Any], reason: str, detail: str
) -> None:
    plan = plan_of(Job("true", resources=asked, limits=limits), box(**fields))
    (rejection,) = plan.explain()
    assert (plan.feasible, plan.best) == (0, None)
    assert (rejection.reason, rejection.count, rejection.example.instance_type) == (reason, 1, "big")
    assert detail in rejection.detail
    assert reason in plan.rejection_table()
    assert plan.nearest_miss()


def test_a_flagged_offer_wins_when_the_user_says_so() -> None:
    free = box(price=Money(0))
    assert plan_of(Job("true"), free).best is None
    best = plan_of(Job("true", resources={"allow_flagged": True}), free).best
    assert best is not None
    assert best.offer.flags == ("the price is zero",)


def test_list_prices_answer_a_question_but_are_not_taken() -> None:
    row = box(reference=True)
    assert plan_of(Job("true"), row).best is not None
    plan = plan_of(Job("true"), row, live_only=True)
    assert plan.best is None
    assert plan.explain()[0].reason == "reference price only"
