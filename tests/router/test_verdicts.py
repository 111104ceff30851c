"""Why one offer serves, in figures."""

from __future__ import annotations

import pytest
from market import acme, plan_of

from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.resources import GpuRequest


def test_the_figures_of_a_candidate() -> None:
    job = Job("true", nodes=2, limits={"duration": "90m"}, resources=["L4:1", "H100:8"])
    offer = acme("big", "31.92", gpu=Gpu("H100", "SXM", 80), gpu_count=8, start_seconds=360)
    best = plan_of(job, offer).best
    assert best is not None
    assert best.request == GpuRequest.parse("H100:8")
    assert (str(best.hourly), str(best.expected_cost), best.start_seconds) == ("63.84", "95.7600", 360)
    assert best.score == pytest.approx(63.84 + 2 * 0.1 / 1.5)


def test_a_total_shortens_the_run_and_bounds_its_cost() -> None:
    job = Job("true", limits={"duration": "10h", "total": 50})
    best = plan_of(job, acme("big", "31.92")).best
    assert best is not None
    assert str(best.expected_cost) == "50"


def test_an_offer_that_serves_several_alternatives_is_one_candidate() -> None:
    job = Job("true", resources=["H100-SXM:8", "H100:8"])
    plan = plan_of(job, acme("big", "31.92", gpu=Gpu("H100", "SXM", 80), gpu_count=8))
    assert [str(candidate.request) for candidate in plan] == ["H100-SXM:8"]
