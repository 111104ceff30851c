"""What a run may still cost and how long that lasts: pure sums over its rows, the same whoever makes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.run import NodeRecord, Run

__all__ = ["budget_seconds", "is_spent", "time_limit"]


def time_limit(run: Run, record: NodeRecord) -> float | None:
    """Seconds that the job may run on a node: its own limit, and what is left of its total budget when it begins there."""
    duration = run.job.limits.duration
    bounds = [float(duration)] if duration else []
    began = record.running_at or record.intended_at
    bought = budget_seconds(run, record.offer, record.price, earlier_than=record.attempt)
    if bought is not None:
        bounds.append(max(1.0, bought - (began - _billed_since(record)).total_seconds()))
    return min(bounds, default=None)


def budget_seconds(run: Run, offer: Offer, price: Money | None = None, *, earlier_than: int | None = None) -> float | None:
    """Seconds of all nodes of an attempt that ``limits.total`` buys, from the beginning of their bill.

    Args:
        price: of one node for one hour; that of the offer without one.
        earlier_than: the attempts before this one have taken their part; all attempts without one.

    Returns:
        ``None`` where no total acts, or nothing is to be paid.
    """
    total, price = run.job.limits.total, price or offer.price
    if total is None or price is None or not price:
        return None
    spent = sum((_final(node) for node in run.nodes if earlier_than is None or node.attempt < earlier_than), Decimal(0))
    return max(0.0, float((total.amount - spent) / (price.amount * run.job.nodes) * 3600))


def is_spent(run: Run, record: NodeRecord, now: datetime) -> bool:
    """Whether the budget is used up before the job has begun."""
    bought = budget_seconds(run, record.offer, record.price, earlier_than=record.attempt)
    return bought is not None and (now - _billed_since(record)).total_seconds() >= bought


def _billed_since(record: NodeRecord) -> datetime:
    return (record.node.since if record.node else None) or record.intended_at


def _final(record: NodeRecord) -> Decimal:
    cost = record.cost(record.released_at or record.intended_at)
    return cost.amount if cost is not None else Decimal(0)
