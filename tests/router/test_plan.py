"""A plan: the best at hand, and everything else when asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from market import NOW, acme, order, plan_of

from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job


def test_a_plan_keeps_the_best_and_reaches_the_rest() -> None:
    plan = plan_of(Job("true"), *(acme(f"m{place}", str(place + 1)) for place in range(9)), limit=2)
    assert len(plan.candidates) == 2
    assert plan.feasible == 9
    assert order(plan) == [f"m{place}" for place in range(9)]
    assert order(plan) == order(plan)
    assert plan.table().splitlines()[-1] == "and 7 more"


def test_the_json_keys_of_a_plan() -> None:
    seen = NOW - timedelta(days=3)
    job = Job("true", resources="H100:8")
    data: Any = plan_of(job, acme("big", "31.92", gpu=Gpu("H100"), gpu_count=8, seen_at=seen), acme("plain", "1")).to_dict()
    assert set(data) == {"job", "candidates", "feasible", "rejected"}
    (first,) = data["candidates"]
    assert first["rank"] == 1
    assert first["price_per_hour"] == first["hourly"] == "31.92"
    assert first["request"] == "H100:8"
    assert set(acme("x", "1").to_dict()) <= set(first)
    (lost,) = data["rejected"]
    assert set(lost) == {"reason", "count", "example", "detail", "hint"}
    assert lost["example"]["instance_type"] == "plain"
