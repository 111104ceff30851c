"""Caps: the most that all runs of one journal together may cost, and the checks against them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from attrs import frozen

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import BudgetExceeded

__all__ = ["Caps", "worst_cost"]

_MONTH = 30 * 86400


@frozen
class Caps:
    """The caps over all runs of a journal.

    Attributes:
        hourly: the most that all open machines together may cost for one hour.
        total: the most that all runs that began within ``period``, and all open runs, may cost until their limits end them.
        period: seconds.
    """

    hourly: Money | None = None
    total: Money | None = None
    period: int = _MONTH

    def __bool__(self) -> bool:
        return self.hourly is not None or self.total is not None

    def hold_hourly(self, prices: Iterable[Money | None]) -> None:
        """Check the prices of all open machines against the hourly cap.

        Raises:
            BudgetExceeded: their sum is above the cap, or one of them is not known.
        """
        if self.hourly is None:
            return
        hourly = Money(Decimal(0), self.hourly.currency)
        for price in prices:
            if price is None:
                raise BudgetExceeded("a machine whose price nobody knows cannot be held under limits.hourly")
            hourly += price
        if hourly > self.hourly:
            raise BudgetExceeded(
                f"all machines together would cost {hourly.display()} an hour, above the cap of {self.hourly.display()}",
                hint="stop a run (lepton nodes), or raise limits.hourly in the config",
            )

    def hold_total(self, runs: Iterable[Run], now: datetime) -> None:
        """Check the most that runs may cost against the total cap.

        Raises:
            BudgetExceeded: that is above the cap, or has no bound.
        """
        if self.total is None:
            return
        total = Money(Decimal(0), self.total.currency)
        for run in runs:
            for node in run.nodes:
                total += _bounded(node, now)
        if total > self.total:
            raise BudgetExceeded(
                f"the runs of the last {show_duration(self.period)} would cost {total.rounded().display()} until their limits "
                f"end them, above the cap of {self.total.display()}",
                hint="lower the job's duration or total, stop another run, or raise limits.total in the config",
            )


def _bounded(node: NodeRecord, now: datetime) -> Money:
    worst = worst_cost(node, now)
    if worst is None:
        raise BudgetExceeded(
            f"what run {node.run} may cost on {node.offer.provider} has no bound, so limits.total cannot be kept",
            hint="give the job a duration or a total",
        )
    return worst


def worst_cost(node: NodeRecord, now: datetime) -> Money | None:
    """The cost of a node once its limits have ended it, or its real cost once it is given back; ``None`` if nothing bounds it."""
    cost = node.cost(now)
    if cost is None or not node.held or not node.price:
        return cost
    if node.lasts is None:
        return None
    return max(cost, (node.price * (Decimal(str(node.lasts)) / 3600)).rounded(4))
