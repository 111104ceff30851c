from __future__ import annotations

import json
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from market import NOW, USABLE, acme, order, plan_of

from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Availability, Offer, Terms, TermsKind
from lepton_sdk.router import Standing, route

STANDING = {"acme": USABLE, "bolt": USABLE, "crow": Standing(usable=False, reason="no credentials", hint="set CROW_KEY")}
prices = st.sampled_from(["0", "1", "2", "5", "8", "16", "16.01", "40", "300"])
offers = st.builds(
    Offer,
    provider=st.sampled_from(["acme", "bolt", "crow", "dove"]),
    instance_type=st.sampled_from(["big", "small", "wide"]),
    region=st.sampled_from(["*", "north-1", "South-1"]),
    gpu=st.sampled_from([None, Gpu("H100"), Gpu("H100", "SXM", 80), Gpu("H100", "PCIe", 80), Gpu("B200"), Gpu("L4")]),
    gpu_count=st.sampled_from([0, 1, 2, 8]),
    cpus=st.sampled_from([None, 4.0, 64.0]),
    memory_gib=st.sampled_from([None, 16.0, 512.0]),
    disk_gib=st.sampled_from([None, 100.0]),
    interconnect=st.sampled_from([None, "InfiniBand 3.2 Tb/s"]),
    terms=st.sampled_from([Terms(), Terms(TermsKind.SPOT), Terms(TermsKind.OWNED), Terms(TermsKind.RESERVED, 12)]),
    price=st.none() | st.builds(Money, prices, st.sampled_from(["USD", "USD", "EUR"])),
    availability=st.sampled_from(Availability),
    available_count=st.sampled_from([None, 0, 1, 2]),
    start_seconds=st.sampled_from([None, 60, 1500]),
    reference=st.booleans(),
)
resources = st.fixed_dictionaries(
    {},
    optional={
        "gpu": st.sampled_from(["H100:8", "H100-SXM:8", ["H100-SXM:8", "H100:8"], ["H100:1", "B200:1"], "any:2", "B200"]),
        "cpus": st.sampled_from([4, 32]),
        "memory_gib": st.just(64),
        "disk_gib": st.just(50),
        "interconnect": st.just("infiniband"),
        "allow_flagged": st.booleans(),
        "regions": st.sampled_from([["north-*"], ["south-1", "east-1"]]),
        "providers": st.just(["acme", "crow"]),
        "spot": st.sampled_from([True, False, "any"]),
    },
)
jobs = st.builds(
    Job,
    command=st.just("true"),
    resources=st.one_of(resources, st.just({"gpu_memory": "80+"})),
    nodes=st.sampled_from([1, 2]),
    workload=st.sampled_from(["training", "inference", "interactive"]),
    limits=st.fixed_dictionaries(
        {},
        optional={
            "duration": st.sampled_from(["30m", "6h"]),
            "hourly": st.sampled_from([0, 10, 32]),
            "total": st.sampled_from([0, 1]),
        },
    ),
)


def gpus_serve(job: Job, offer: Offer) -> bool:
    asked = job.resources
    if not asked.requests:
        return True
    size = offer.gpu.completed().memory_gib if offer.gpu else None
    if offer.gpu_count == 0 or (asked.gpu_memory and not (size and asked.gpu_memory.contains(size))):
        return False
    return any(
        request.count == offer.gpu_count
        and (request.gpu is None or (offer.gpu is not None and request.gpu.fits(offer.gpu) is None))
        for request in asked.requests
    )


def price_serves(job: Job, offer: Offer) -> bool:
    for limit, hours in ((job.limits.hourly, Decimal(1)), (job.limits.total, Decimal(1) / 60)):
        if limit is None:
            continue
        if offer.price is None or offer.price.currency != limit.currency:
            return False
        if offer.price.amount * job.nodes * hours > limit.amount:
            return False
    return True


def serves(job: Job, offer: Offer, live_only: bool) -> bool:
    """The rules once more, written down plainly, with every offer looked at."""
    asked, kind = job.resources, offer.terms.kind
    return (
        gpus_serve(job, offer)
        and price_serves(job, offer)
        and all(
            need is None or (have is not None and have >= need)
            for need, have in (
                (asked.cpus, offer.cpus),
                (asked.memory_gib, offer.memory_gib),
                (asked.disk_gib, offer.disk_gib),
            )
        )
        and (not asked.interconnect or asked.interconnect.lower() in (offer.interconnect or "").lower())
        and (not asked.regions or offer.region == "*" or any(fnmatchcase(offer.region.lower(), r) for r in asked.regions))
        and (not asked.providers or offer.provider in asked.providers)
        and kind is not TermsKind.RESERVED
        and (asked.spot is None or asked.spot == (kind is TermsKind.SPOT))
        and offer.availability in (Availability.AVAILABLE, Availability.UNKNOWN)
        and (offer.available_count is None or offer.available_count >= job.nodes)
        and (asked.allow_flagged or not offer.flags)
        and not (live_only and offer.reference)
        and STANDING.get(offer.provider, Standing(usable=False)).usable
    )


@settings(max_examples=300)
@given(jobs, st.lists(offers, max_size=30), st.booleans())
def test_no_feasible_offer_is_lost_and_no_other_gets_in(job: Job, rows: list[Offer], live_only: bool) -> None:
    catalog = Catalog(rows)
    plan = route(job, catalog, standing=STANDING, now=NOW, limit=3, live_only=live_only)
    expected = [offer for offer in catalog if serves(job, offer, live_only)]
    found = [candidate.offer for candidate in plan]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    assert plan.feasible == len(expected)
    assert list(plan)[:3] == list(plan.candidates)
    # Each offer that lost is counted in one group, and what is shown of it can be written down.
    assert sum(rejection.count for rejection in plan.explain()) == len(catalog) - plan.feasible
    assert (plan.nearest_miss() == "") == bool(plan.feasible)
    json.dumps(plan.to_dict(), allow_nan=False)
    assert str(plan)


@given(jobs, st.lists(offers, max_size=20))
def test_candidates_stand_in_order(job: Job, rows: list[Offer]) -> None:
    plan = route(job, Catalog(rows), standing=STANDING, now=NOW)
    ranks = [
        (
            one.score is None,
            one.score or 0.0,
            one.offer.terms.kind is not TermsKind.OWNED,
            one.offer.gpu_count,
            one.offer.key,
        )
        for one in plan
    ]
    assert ranks == sorted(ranks)
    assert plan.best == next(iter(plan), None)


@given(jobs, st.lists(offers, max_size=15, unique_by=lambda offer: (offer.key, offer.gpu, offer.gpu_count)), st.data())
def test_the_plan_does_not_depend_on_the_order_of_the_market(job: Job, rows: list[Offer], data: st.DataObject) -> None:
    once = list({offer.key: offer for offer in rows}.values())
    shuffled = data.draw(st.permutations(once))
    one, two = (route(job, Catalog(market), standing=STANDING, now=NOW) for market in (once, shuffled))
    assert one.to_dict() == two.to_dict()
    assert str(one) == str(two)


def test_the_cheapest_wins_and_names_break_ties() -> None:
    plan = plan_of(Job("true"), acme("b", "2"), acme("c", "1"), acme("a", "2"), acme("d", None))
    assert order(plan) == ["c", "a", "b", "d"]
    assert [candidate.score is None for candidate in plan] == [False, False, False, True]


def test_an_unknown_price_is_chosen_when_there_is_nothing_else() -> None:
    plan = plan_of(Job("true"), acme("d", None))
    assert plan.best is not None
    assert (plan.best.hourly, plan.best.expected_cost, plan.best.score) == (None, None, None)


def test_a_currency_that_cannot_be_compared_ranks_like_an_unknown_price() -> None:
    euro = Offer("acme", "euro", price=Money("0.01", "EUR"))
    assert order(plan_of(Job("true"), euro, acme("dollar", "9"))) == ["dollar", "euro"]


def test_what_is_asked_exactly_serves() -> None:
    offer = acme("big", "16", cpus=4.0, memory_gib=8.0, disk_gib=10.0, available_count=2)
    asked = {"cpus": 4, "memory_gib": 8, "disk_gib": 10}
    assert plan_of(Job("true", resources=asked, nodes=2, limits={"hourly": 32}), offer).best is not None
    assert plan_of(Job("true", resources=asked, nodes=2, limits={"hourly": "31.99"}), offer).best is None
    assert plan_of(Job("true", resources=asked, nodes=3), offer).best is None
    # One minute of both nodes costs 0.5333.
    assert plan_of(Job("true", nodes=2, limits={"total": "0.54"}), offer).best is not None
    assert plan_of(Job("true", nodes=2, limits={"total": "0.53"}), offer).best is None


def test_any_gpu_may_be_one_of_an_unknown_model() -> None:
    plan = plan_of(Job("true", resources="any:2"), acme("odd", "1", gpu_count=2))
    assert order(plan) == ["odd"]


def test_offers_of_other_keys_are_not_looked_at() -> None:
    class Watched(Catalog):
        asked: list[tuple[str | None, int]]
        __slots__ = ("asked",)

        def select(self, model: str | None, count: int) -> Any:
            self.asked.append((model, count))
            return super().select(model, count)

        def __iter__(self) -> Any:
            raise AssertionError("route() went through the whole catalog")

    catalog = Watched(reference_catalog().select("H100", 8))
    catalog.asked = []
    plan = route(Job("true", resources=["H100:8", "H200:8"]), catalog, standing={}, now=NOW)
    assert catalog.asked == [("H100", 8), ("H200", 8)]
    assert plan.feasible == 0
