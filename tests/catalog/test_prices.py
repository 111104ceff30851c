from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk.catalog import Catalog, check_price
from lepton_sdk.catalog.prices import price_ranges
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, Terms, TermsKind


def offer(price: str, kind: TermsKind = TermsKind.ON_DEMAND, count: int = 8, currency: str = "USD") -> Offer:
    return Offer("acme", "big", gpu=Gpu("H100"), gpu_count=count, terms=Terms(kind), price=Money(price, currency))


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (offer("0"), "zero"),
        (offer("-1"), "negative"),
        (offer("-1", TermsKind.OWNED), "negative"),
        (offer("0.8"), "below"),
        (offer("900"), "above"),
        (offer("0.08", TermsKind.SPOT), "below"),
        # A price for eight that was filed under one.
        (offer("49.24", count=1), "above"),
        # A price for one that was filed under eight.
        (offer("3.90", count=8), "below"),
    ],
)
def test_what_no_seller_means_to_ask_is_flagged(asked: Offer, word: str) -> None:
    flags = check_price(asked)
    assert len(flags) == 1
    assert word in flags[0]


@pytest.mark.parametrize(
    "asked",
    [
        offer("31.92"),
        offer("12", TermsKind.SPOT),
        offer("0", TermsKind.OWNED),
        offer("0.40", TermsKind.OWNED),
        offer("0.8", currency="EUR"),
        Offer("acme", "big", gpu=Gpu("H100"), gpu_count=8),
        Offer("acme", "plain", price=Money("0.01")),
        Offer("acme", "odd", gpu=Gpu("P100"), gpu_count=1, price=Money("0.01")),
    ],
)
def test_what_can_be_believed_is_not_flagged(asked: Offer) -> None:
    assert check_price(asked) == ()


def test_spot_above_on_demand_is_flagged_in_a_catalog() -> None:
    spot = offer("40", TermsKind.SPOT)
    (low, high) = Catalog([spot, offer("32")])
    assert (low.flags, high.flags) == ((), ("the spot price 40 is above the price on demand, 32",))
    (alone,) = Catalog([spot])
    assert alone.flags == ()
    assert not any(row.flags for row in Catalog([offer("32", TermsKind.SPOT), offer("32")]))


def test_flags_of_a_provider_are_kept_and_none_stands_twice() -> None:
    own = Offer("acme", "big", price=Money(0), flags=("the price is zero", "checked by hand"))
    assert next(iter(Catalog([own]))) == own
    assert next(iter(Catalog(Catalog([own])))) == own


@given(st.sampled_from(sorted(price_ranges())), st.integers(1, 8), st.decimals("0.01", 500, places=2))
def test_the_range_is_a_third_of_the_lowest_to_three_times_the_highest(model: str, count: int, each: Decimal) -> None:
    low, high, _ = price_ranges()[model]
    price = Money(each) * count
    asked = Offer("acme", "big", gpu=Gpu(model), gpu_count=count, price=price)
    inside = low / 3 <= price.amount / count <= high * 3
    assert (check_price(asked) == ()) == inside
