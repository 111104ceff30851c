from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from market import NOW, USABLE, box, plan_of

from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Terms, TermsKind
from lepton_sdk.domain.resources import Resources
from lepton_sdk.router import Standing, matching, route


def test_offers_that_only_lack_a_usable_provider_stand_first_with_their_price() -> None:
    rows = [
        box(price_source="acme's page", seen_at=datetime(2026, 11, 1, tzinfo=UTC)),
        box(provider="bolt", price=Money(40), price_source="reference: bolt.example, read 2026-10-02", seen_at=NOW),
        box(provider="bolt", instance_type="bigger", price=Money(44)),
        box(provider="crow", price=Money(20)),
        box(provider="crow", instance_type="little", cpus=1.0, price=Money(10)),
    ]
    standing = {"bolt": Standing(False, "no credentials", "set BOLT_KEY")}
    job = Job("true", resources={"gpu": "H100:8", "cpus": 64}, nodes=2)
    plan = route(job, Catalog(rows), standing=standing, now=NOW)
    lost = plan.explain()
    assert [(group.reason, group.count, group.example.provider) for group in lost] == [
        ("provider not installed", 1, "crow"),
        ("no credentials", 2, "bolt"),
        ("provider not installed", 1, "acme"),
        ("too few CPUs", 1, "crow"),
    ]
    assert lost[1].hint == "set BOLT_KEY"
    assert lost[1].detail.startswith("would cost $80.00 an hour (reference: bolt.example, read 2026-10-02")
    assert lost[2].detail == "would cost $98.48 an hour (acme's page, read 2026-11-01, 21 days ago)"
    assert lost[3].detail == "has 1 CPUs, 63 below 64; provider not installed"
    assert plan.nearest_miss().startswith("the nearest offer, crow big in north-1, would cost $40.00 an hour")


def test_groups_stand_in_order_of_closeness_and_count_their_offers() -> None:
    rows = [
        box(cpus=100.0, instance_type="near"),
        box(cpus=4.0, instance_type="far"),
        box(gpu_count=4),
        box(gpu=Gpu("H200")),
        box(gpu=None, gpu_count=0),
    ]
    plan = plan_of(Job("true", resources={"gpu": "H100:8", "cpus": 120}), *rows)
    assert [(group.reason, group.count) for group in plan.explain()] == [
        ("too few CPUs", 2),
        ("another number of GPUs", 1),
        ("another GPU model", 1),
        ("no GPU", 1),
    ]
    assert plan.explain()[0].example.instance_type == "near"
    assert plan.nearest_miss() == (
        "the nearest offer, acme big near in north-1, does not serve: has 100 CPUs, 20 below 120".replace("big ", "")
    )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("H100:7", "nobody sells H100:7; the nearest are H100:4 and H100:8"),
        ("H100:16", "nobody sells H100:16; the nearest is H100:8"),
        ("H200-SXM:4", "nobody sells H200-SXM:4; the nearest are H200-SXM:1 and H200-SXM:8"),
        (
            ["H100:7", "GB200:8"],
            "nobody sells H100:7; the nearest are H100:4 and H100:8; nobody sells GB200:8; the nearest",
        ),
        ("GB300:4", "nobody sells GB300:4; the nearest is GB200-Superchip-186GB:4"),
        ("H100-NVL:8", "nobody sells H100-NVL:8; the nearest is H100-SXM-80GB:8"),
    ],
)
def test_what_nobody_sells_names_the_nearest_that_is_sold(asked: Any, sentence: str) -> None:
    catalog = reference_catalog()
    standing = dict.fromkeys(catalog.providers(), USABLE)
    plan = route(Job("true", resources=asked), catalog, standing=standing, now=NOW)
    assert plan.feasible == 0
    assert plan.nearest_miss().startswith(sentence)


def test_a_limit_that_nothing_keeps_says_by_how_much() -> None:
    plan = plan_of(Job("true", resources="H100:8", limits={"hourly": 35}), box(), box(instance_type="x", price=Money(80)))
    assert plan.nearest_miss() == (
        "the nearest offer, acme big in north-1, does not serve: costs 49.24 an hour, 14.24 above the limit 35"
    )


def test_matching_asks_only_for_what_the_machine_is() -> None:
    rows = [
        box(availability="busy", price=Money(50)),
        box(provider="nobody", price=Money(40), region="south-1"),
        box(instance_type="unpriced", price=None),
        box(instance_type="half", gpu_count=4),
        box(instance_type="cut", terms=Terms(TermsKind.SPOT)),
    ]
    found = matching(Resources(gpu="H100:8"), Catalog(rows))
    assert [(offer.provider, offer.instance_type) for offer in found] == [
        ("nobody", "big"),
        ("acme", "big"),
        ("acme", "unpriced"),
    ]
    assert len(matching(Resources(spot=None), Catalog(rows))) == 5


def test_an_empty_market() -> None:
    plan = plan_of(Job("true"))
    assert (plan.explain(), plan.nearest_miss()) == ((), "no offer is known at all")
    assert str(plan) == "no offer serves this job\n\nno offer is known at all"


def test_no_miss_when_something_serves() -> None:
    plan = plan_of(Job("true"), box())
    assert plan.nearest_miss() == ""
    assert plan.explain() == ()
    assert plan.rejection_table() == ""


def test_what_a_provider_says_of_one_machine_stands_by_itself_with_its_next_step() -> None:
    shut = [
        box(instance_type=f"b{n}", availability="withheld", obstacle=f"b{n} is shut", hint=f"open b{n}", price=Money(30 + n))
        for n in (1, 2)
    ]
    plan = plan_of(Job("true"), *shut, box(instance_type="b3", availability="busy"), box(instance_type="b4", availability="busy"))
    told = {(loss.reason, loss.count, loss.detail, loss.hint) for loss in plan.explain()}
    assert told == {
        ("withheld", 1, "b1 is shut", "open b1"),
        ("withheld", 1, "b2 is shut", "open b2"),
        ("busy", 2, "is in use", ""),
    }
    assert "next: open b2" in plan.rejection_table()
