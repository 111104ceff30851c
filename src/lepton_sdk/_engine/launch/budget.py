"""What a run may still cost, and for how long: computed only from its journal entries, so every follower gets the same."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lepton_sdk.domain.bill import SHORTEST_BILL
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import BudgetExceeded

__all__ = ["bill_left", "budget_seconds", "is_spent", "longest_bill", "time_limit"]

# Seconds from the release call until the machine is gone.
_GIVING_BACK = 300.0
# A tenth of what the total buys is reserved for fetching the output and giving the machine back, but at most this many seconds.
_LONGEST_RESERVE, _RESERVED = 360.0, 0.1


def time_limit(run: Run, record: NodeRecord) -> float | None:
    """Seconds that the job may run on a node: the smaller of its own limit and the rest of its total when it begins there.

    The total bounds the whole bill, so the job must end before the total is used up: see `bill_left`.
    """
    duration = run.job.limits.duration
    bounds = [float(duration)] if duration else []
    began = record.running_at or record.intended_at
    bought = budget_seconds(run, record.offer, record.price, earlier_than=record.attempt)
    if bought is not None:
        usable = bought - min(_LONGEST_RESERVE, _RESERVED * bought)
        bounds.append(max(1.0, usable - (began - _billed_since(record)).total_seconds()))
    return min(bounds, default=None)


def bill_left(run: Run, record: NodeRecord, now: datetime) -> float | None:
    """Seconds until the node has used up what the total buys; ``None`` if no total applies."""
    if record.queued:
        # A queued node is not billed yet.
        return None
    bought = budget_seconds(run, record.offer, record.price, earlier_than=record.attempt)
    return None if bought is None else bought - (now - _billed_since(record)).total_seconds()


def budget_seconds(run: Run, offer: Offer, price: Money | None = None, *, earlier_than: int | None = None) -> float | None:
    """Seconds that ``limits.total`` buys for all nodes of an attempt together, from the beginning of their bill.

    Args:
        price: of one node for one hour; ``None`` for the price of the offer.
        earlier_than: subtract the cost of the attempts before this one; ``None`` for all attempts.

    Returns:
        ``None`` if no total applies, or if nothing is to be paid.
    """
    total, price = run.job.limits.total, price or offer.price
    if total is None or price is None or not price:
        return None
    spent = sum((_final(node) for node in run.nodes if earlier_than is None or node.attempt < earlier_than), Decimal(0))
    return max(0.0, float((total.amount - spent) / (price.amount * run.job.nodes) * 3600))


def longest_bill(run: Run, offer: Offer, boot: float, *, after: float, watched: bool) -> float | None:
    """The longest time, in seconds, that a machine taken now can be billed under the run's limits; ``None`` without such limits.

    Args:
        boot: the most seconds until the machine can be used.
        after: seconds that it is kept after the job, to fetch its output; on a ``watched`` machine also for somebody to come
            when no client lives.
        watched: a watchdog ends it when no client lives. The watchdog counts what the total buys from its own first sign of life.

    Raises:
        BudgetExceeded: the rest of the total does not buy even a minute.
    """
    duration, bought = run.job.limits.duration, budget_seconds(run, offer)
    if bought is not None and bought < SHORTEST_BILL:
        left = f"what is left of limits.total ({run.job.limits.total}) after {run.attempts} attempts"
        raise BudgetExceeded(f"{left} does not buy a minute of {offer.provider} {offer.instance_type}", hint="raise the total")
    bounds = [boot + duration + after + _GIVING_BACK] if duration else []
    if bought is not None:
        bounds.append(bought + boot if watched else bought)
    return min(bounds, default=None)


def is_spent(run: Run, record: NodeRecord, now: datetime) -> bool:
    """Return True if the run's total is used up."""
    left = bill_left(run, record, now)
    return left is not None and left <= 0


def _billed_since(record: NodeRecord) -> datetime:
    return (record.node.since if record.node else None) or record.boots_since


def _final(record: NodeRecord) -> Decimal:
    cost = record.cost(record.released_at or record.intended_at)
    return cost.amount if cost is not None else Decimal(0)
