"""The simulated cloud's own bill, with its own rounding: what our costs are held against."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from lepton_sdk.domain.money import Money
from lepton_sdk.testing.simworld import SIM_SPEC, Machine

__all__ = ["bill"]


def bill(machine: Machine, now: float) -> Money:
    """What the cloud charges for a machine by a time (seconds): every increment that was begun, in whole cents, downwards."""
    price = machine.offer.price
    assert price is not None
    increment = Fraction(SIM_SPEC.timings.billing_increment)
    seconds = Fraction(max(0.0, min(now, machine.ended()) - machine.created))
    cents = -(-seconds // increment) * increment * Fraction(price.amount) * 100 / 3600
    return Money(Decimal(int(cents)) / 100, price.currency)
