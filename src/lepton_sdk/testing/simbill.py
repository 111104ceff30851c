"""The simulated cloud's own bill, with its own rounding, to check our costs against."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from lepton_sdk.domain.money import Money
from lepton_sdk.testing.simworld import SIM_SPEC, Machine

__all__ = ["bill"]


def bill(machine: Machine, now: float) -> Money:
    """What the cloud charges for a machine until a time (seconds): every begun increment, rounded down to whole cents."""
    price = machine.offer.price
    assert price is not None
    increment = Fraction(SIM_SPEC.timings.billing_increment)
    seconds = Fraction(max(0.0, min(now, machine.ended()) - machine.created))
    cents = -(-seconds // increment) * increment * Fraction(price.amount) * 100 / 3600
    return Money(Decimal(int(cents)) / 100, price.currency)
