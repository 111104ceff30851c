"""Prices by the user's word: Crusoe's API lists none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from lepton_crusoe._models import InstanceType
from lepton_sdk.spi import ConfigError, Money

__all__ = ["SOURCE", "check_price", "price_of", "read_prices"]

SOURCE = "config providers.crusoe.prices"
# More than so much above the planned price is another offer.
_TOLERANCE = Decimal("1.05")


def read_prices(lines: Iterable[object]) -> Mapping[str, Decimal]:
    """``["h100-80gb-sxm-ib=3.90", "a100-80gb.2x=4.60"]`` as name → dollars.

    Raises:
        ConfigError: a line that is none; it is named.
    """
    prices: dict[str, Decimal] = {}
    for line in lines:
        name, _, text = str(line).partition("=")
        try:
            amount = Decimal(text.strip())
        except InvalidOperation:
            amount = Decimal(-1)
        if not name.strip() or not amount.is_finite() or amount <= 0:
            raise ConfigError(
                f"providers.crusoe.prices: {line!r} is not a name and a price above 0",
                hint='write "h100-80gb-sxm-ib=3.90" for one GPU-hour, or "a100-80gb.2x=4.60" for an hour of one machine',
            )
        prices[name.strip()] = amount
    return prices


def price_of(kind: InstanceType, prices: Mapping[str, Decimal]) -> Money | None:
    """One hour of a machine: the type's own price, else its family's price for each GPU; ``None`` when nobody said."""
    if kind.name in prices:
        return Money(str(prices[kind.name]))
    each = prices.get(kind.family)
    return None if each is None or not kind.gpus else Money(str(each * kind.gpus))


def check_price(planned: Money | None, now: Money | None) -> str:
    """Why the planned price no longer stands; empty when it does."""
    if planned is None or now is None or now.amount <= planned.amount * _TOLERANCE:
        return ""
    return f"planned at {planned.display()} an hour, now {now.display()}"
