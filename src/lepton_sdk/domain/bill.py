"""The cost of time on a machine, and duplicates: other machines than the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any

from attrs import fields_dict, frozen

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.plain import from_plain, to_plain

__all__ = ["SHORTEST_BILL", "Duplicate", "charged"]

# Seconds: no vendor bills less than a minute.
SHORTEST_BILL = 60


def charged(price: Money, since: datetime, until: datetime, increment: float) -> Money:
    """The cost of the time from ``since`` to ``until``, rounded up to the billing increment (seconds); ``price`` is per hour."""
    steps = ceil(max(0.0, (until - since).total_seconds()) / increment)
    return (price * (Decimal(str(increment)) * steps / 3600)).rounded(4)


@frozen
class Duplicate:
    """Another machine with a node's token than the one that the node adopted. It is given back, and the run bears its cost.

    Attributes:
        seen_at: a time at which it was certainly there.
        gone_at: when its provider said that it is gone; ``None`` before that.
    """

    node: Node
    seen_at: datetime
    gone_at: datetime | None = None

    def to_dict(self) -> dict[str, object]:
        """Every field, as the journal stores it."""
        return {name: to_plain(getattr(self, name)) for name in fields_dict(type(self))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Duplicate:
        """The reverse of `to_dict`."""
        return from_plain(cls, data)
