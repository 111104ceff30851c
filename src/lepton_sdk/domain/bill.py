"""What time on a machine costs, and the machines beyond the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any

from attrs import frozen

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node

__all__ = ["Duplicate", "charged"]


def charged(price: Money, since: datetime, until: datetime, increment: float) -> Money:
    """The price of one hour for the time from ``since`` to ``until``, rounded up to the billing increment (seconds)."""
    steps = ceil(max(0.0, (until - since).total_seconds()) / increment)
    return (price * (Decimal(str(increment)) * steps / 3600)).rounded(4)


@frozen
class Duplicate:
    """A machine of a token beyond the one that the token's row adopted: it is given back, and its cost is the run's.

    Attributes:
        seen_at: when it was certainly there.
        gone_at: when its provider said that it is gone; ``None`` before that.
    """

    node: Node
    seen_at: datetime
    gone_at: datetime | None = None

    def to_dict(self) -> dict[str, object]:
        """Every field, as the journal keeps it."""
        gone = self.gone_at.isoformat() if self.gone_at else None
        return {"node": self.node.to_dict(), "seen_at": self.seen_at.isoformat(), "gone_at": gone}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Duplicate:
        """The reverse of `to_dict`."""
        gone = datetime.fromisoformat(data["gone_at"]) if data["gone_at"] else None
        return cls(Node.from_dict(data["node"]), datetime.fromisoformat(data["seen_at"]), gone)
