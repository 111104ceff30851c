"""What a run may still cost and how long that lasts: pure sums over its rows, the same whoever makes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import BudgetExceeded

__all__ = ["bill_left", "budget_seconds", "is_spent", "longest_bill", "time_limit"]

# No vendor bills less than a minute.
_SHORTEST = 60.0
# From the release call until the machine is gone.
_GIVING_BACK = 300.0
# Of what the total buys, the job leaves a tenth to fetching its output and to giving the machine back: no more than this.
_LONGEST_RESERVE, _RESERVED = 360.0, 0.1


def time_limit(run: Run, record: NodeRecord) -> float | None:
    """Seconds that the job may run on a node: its own limit, and what is left of its total budget when it begins there.

    The total bounds the whole bill, so the job ends before it is used up: see `bill_left`.
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
    """Seconds until what the total buys of a node is used up; ``None`` where no total acts."""
    if record.queued:
        # Nothing is billed before it begins.
        return None
    bought = budget_seconds(run, record.offer, record.price, earlier_than=record.attempt)
    return None if bought is None else bought - (now - _billed_since(record)).total_seconds()


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


def longest_bill(run: Run, offer: Offer, boot: float, *, after: float, watched: bool) -> float | None:
    """Seconds after which the run's limits have ended the bill of a machine that is taken now; ``None`` without such limits.

    Args:
        boot: seconds until it can be used, at most.
        after: seconds that it is kept after the job: for its output to be fetched, and on a ``watched`` machine, when no client
            lives to do that, for somebody to come.
        watched: a watchdog ends it when no client lives. It counts what the total buys from its own first sign of life.

    Raises:
        BudgetExceeded: what is left of the total does not even buy a minute.
    """
    duration, bought = run.job.limits.duration, budget_seconds(run, offer)
    if bought is not None and bought < _SHORTEST:
        left = f"what is left of limits.total ({run.job.limits.total}) after {run.attempts} attempts"
        raise BudgetExceeded(f"{left} does not buy a minute of {offer.provider} {offer.instance_type}", hint="raise the total")
    bounds = [boot + duration + after + _GIVING_BACK] if duration else []
    if bought is not None:
        bounds.append(bought + boot if watched else bought)
    return min(bounds, default=None)


def is_spent(run: Run, record: NodeRecord, now: datetime) -> bool:
    """Whether the budget is used up before the job has begun."""
    left = bill_left(run, record, now)
    return left is not None and left <= 0


def _billed_since(record: NodeRecord) -> datetime:
    return (record.node.since if record.node else None) or record.boots_since


def _final(record: NodeRecord) -> Decimal:
    cost = record.cost(record.released_at or record.intended_at)
    return cost.amount if cost is not None else Decimal(0)
