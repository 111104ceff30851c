"""Plans as aligned plain text, without colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lepton_sdk._text import aligned
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.router.verdicts import Candidate, Rejection

__all__ = ["candidate_table", "rejection_table"]

_HEAD = (
    "#",
    "provider",
    "instance type",
    "region",
    "GPUs",
    "CPUs",
    "memory",
    "terms",
    "per hour",
    "expected",
    "start",
    "price read",
)
_RIGHT = frozenset({"#", "CPUs", "memory", "per hour", "expected", "start", "offers"})


def _aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(aligned(head, rows, right=_RIGHT))


def gpus_text(offer: Offer) -> str:
    """``H100-SXM-80GB:8``, or a dash for a machine without GPUs."""
    return f"{offer.gpu or 'unknown'}:{offer.gpu_count}" if offer.gpu_count else "-"


def _number(value: float | None, unit: str = "") -> str:
    return "?" if value is None else f"{value:g}{unit}"


def _row(place: int, candidate: Candidate) -> tuple[str, ...]:
    offer = candidate.offer
    return (
        str(place),
        offer.provider,
        offer.instance_type,
        offer.region,
        gpus_text(offer),
        _number(offer.cpus),
        _number(offer.memory_gib, " GiB"),
        str(offer.terms),
        candidate.hourly.display() if candidate.hourly is not None else "?",
        candidate.expected_cost.display() if candidate.expected_cost is not None else "-",
        "?" if candidate.start_seconds is None else show_duration(candidate.start_seconds),
        " ".join(
            part
            for part in (
                offer.seen_at.date().isoformat() if offer.seen_at else "-",
                "(list price)" if offer.reference else "",
                "(price in doubt)" if offer.flags else "",
            )
            if part
        ),
    )


def candidate_table(candidates: Sequence[Candidate], feasible: int) -> str:
    """One line for each candidate, and how many more there are."""
    if not candidates:
        return "no offer serves this job" if not feasible else f"{feasible} offers serve this job"
    table = _aligned(_HEAD, [_row(place, candidate) for place, candidate in enumerate(candidates, 1)])
    more = feasible - len(candidates)
    return f"{table}\nand {more} more" if more else table


def rejection_table(rejected: Sequence[Rejection], nodes: int) -> str:
    """One line for each group, with the nearest offer and the hourly price of all its nodes."""
    if not rejected:
        return ""
    rows = []
    for group in rejected:
        offer = group.example
        cost = "?" if offer.price is None else (offer.price * nodes).display()
        name = f"{offer.provider} {offer.instance_type}"
        rows.append((group.reason, str(group.count), name, gpus_text(offer), cost, group.detail))
    table = _aligned(("not taken because", "offers", "nearest", "GPUs", "per hour", "detail"), rows)
    hints = [f"next: {hint}" for hint in dict.fromkeys(group.hint for group in rejected) if hint]
    return "\n".join([table, *hints])
