from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lepton_sdk._text import aligned
from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Availability, Offer, Terms, TermsKind
from lepton_sdk.domain.resources import Resources
from lepton_sdk.router import Plan, Standing, matching, route

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
USABLE = Standing(usable=True)


def box(**fields: Any) -> Offer:
    """An 8-GPU machine that serves everything asked below, but for the fields that a test changes."""
    values: dict[str, Any] = {
        "provider": "acme",
        "instance_type": "big",
        "region": "north-1",
        "gpu": Gpu("H100", "SXM", 80),
        "gpu_count": 8,
        "cpus": 124.0,
        "memory_gib": 1800.0,
        "disk_gib": 1000.0,
        "interconnect": "InfiniBand",
        "price": Money("49.24"),
        "availability": Availability.AVAILABLE,
    }
    return Offer(**{**values, **fields})


def plan_of(job: Job, *rows: Offer, **options: Any) -> Plan:
    return route(job, Catalog(rows), standing={"acme": USABLE}, now=NOW, **options)


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


def test_the_table_of_candidates() -> None:
    seen = datetime(2026, 9, 20, tzinfo=UTC)
    job = Job("true", resources="H100:8", limits={"duration": "6h"})
    rows = [box(seen_at=seen, reference=True, start_seconds=300), box(instance_type="bigger", price=None, cpus=None)]
    head, first, second = plan_of(job, *rows).table().splitlines()
    assert " ".join(head.split()) == ("# provider instance type region GPUs CPUs memory terms per hour expected start price read")
    assert " ".join(first.split()) == (
        "1 acme big north-1 H100-SXM-80GB:8 124 1800 GiB on-demand $49.24 $295.44 5m 2026-09-20 (list price)"
    )
    assert " ".join(second.split()) == "2 acme bigger north-1 H100-SXM-80GB:8 ? 1800 GiB on-demand ? - ? -"
    assert head.index("GPUs") == first.index("H100") == second.index("H100")


def test_columns_are_aligned() -> None:
    text = aligned(("a", "offers"), [("x", "1"), ("long", "100")], right={"offers"})
    assert text == ["a     offers", "x          1", "long     100"]


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
