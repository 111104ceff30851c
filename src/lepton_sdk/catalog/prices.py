"""The price check: flags implausible prices when an offer enters a catalog."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, TermsKind

__all__ = ["check_price"]

# Per GPU-hour in the currency of the file: lowest and highest on demand, lowest spot (None where no row says).
PriceRange = tuple[Decimal, Decimal, Decimal | None]

_FAR = 3
# Where no spot price of a model is known: the deepest discount among the reference rows is below nine tenths.
_DEEPEST_SPOT = 10
_CURRENCY = "USD"


@cache
def price_ranges() -> dict[str, PriceRange]:
    """What each model costs in the reference rows; ``scripts/make_reference_offers.py`` writes it from them."""
    ranges: dict[str, PriceRange] = {}
    for line in (Path(__file__).parent / "price_ranges.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            model, low, high, spot = line.split("\t")
            ranges[model] = (Decimal(low), Decimal(high), Decimal(spot) if spot else None)
    return ranges


def check_price(offer: Offer, on_demand: Money | None = None) -> tuple[str, ...]:
    """What is wrong with an offer's price, in words; empty if the price is plausible.

    It flags: a negative price; a price of zero, except for owned machines; a spot price above the on-demand price of
    the same provider, instance type and region; and a price per GPU-hour far outside what its model costs in the
    reference data. Far means more than 3 times the highest price on demand, or less than a third of the lowest one on
    the same terms: on demand, or spot (where no spot price is known, a tenth of the lowest on demand). Reserved terms
    count as spot there, as they are discounted too. Owned machines, other currencies than USD and models without
    reference rows have no range.

    Args:
        offer: as it came from its source.
        on_demand: what the same machine costs on demand, if that is known.

    >>> check_price(Offer("acme", "big", price=Money("0")))
    ('the price is zero',)
    """
    price = offer.price
    if price is None:
        return ()
    owned = offer.terms.kind is TermsKind.OWNED
    if price.amount < 0:
        return (f"the price {price} is negative",)
    if not price:
        return () if owned else ("the price is zero",)
    flags = []
    if offer.terms.kind is TermsKind.SPOT and on_demand and on_demand.currency == price.currency and price > on_demand:
        flags.append(f"the spot price {price} is above the price on demand, {on_demand}")
    if not owned and price.currency == _CURRENCY and (flag := _out_of_range(offer, price)):
        flags.append(flag)
    return tuple(flags)


def _out_of_range(offer: Offer, price: Money) -> str | None:
    known = price_ranges().get(offer.gpu.model) if offer.gpu and offer.gpu_count else None
    if known is None or offer.gpu is None:
        return None
    low, high, spot = known
    each = price.amount / offer.gpu_count
    discounted = low / _DEEPEST_SPOT if spot is None else spot / _FAR
    floor = low / _FAR if offer.terms.kind is TermsKind.ON_DEMAND else discounted
    if floor <= each <= high * _FAR:
        return None
    side = "below" if each < floor else "above"
    usual = f"{low:.2f} to {high:.2f} on demand"
    return f"{each:.2f} per GPU-hour is far {side} what {offer.gpu.model} costs elsewhere ({usual})"
