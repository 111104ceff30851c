"""Why offers lost: one pass over the catalog, with the same checks that decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from lepton_sdk.catalog import Catalog
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import GpuRequest
from lepton_sdk.router.checks import REFERENCE_ONLY, Check, Miss, Standing, gpu_miss, standing_of
from lepton_sdk.router.verdicts import Rejection

__all__ = ["nearest_miss", "rejections"]

# Number of misses, distance, price unknown, price, key: the smallest is the nearest of a group.
Closeness = tuple[int, float, bool, Decimal, tuple[str, str, str, str]]


class _Group:
    """The offers that lost for one reason: how many, and the one that came nearest."""

    def __init__(self) -> None:
        self.count = 0
        self.closeness: Closeness | None = None
        self.example: Offer
        self.misses: list[Miss]

    def add(self, offer: Offer, misses: list[Miss]) -> None:
        self.count += 1
        price = offer.price
        near = (
            len(misses),
            sum(miss.distance for miss in misses),
            price is None,
            price.amount if price else Decimal(0),
            offer.key,
        )
        if self.closeness is None or near < self.closeness:
            self.closeness, self.example, self.misses = near, offer, misses


def rejections(
    job: Job, catalog: Catalog, checks: tuple[Check, ...], standing: Mapping[str, Standing], now: datetime
) -> tuple[Rejection, ...]:
    """Every group of offers that lost, the most useful first."""
    unusable: dict[str, _Group] = {}
    missed: dict[tuple[str, str], _Group] = {}
    for offer in catalog:
        misses = _misses(job, checks, offer)
        usable = standing_of(offer.provider, standing).usable
        # For a provider that could not be asked, a list price is the best there is: the obstacle is the provider.
        if misses and (usable or any(miss.reason != REFERENCE_ONLY for miss in misses)):
            first = misses[0]
            missed.setdefault((first.reason, first.detail if first.alone else ""), _Group()).add(offer, misses)
        elif not usable:
            unusable.setdefault(offer.provider, _Group()).add(offer, [])
    out_of_reach = sorted(unusable.values(), key=lambda group: group.closeness or ())
    near_first = sorted(missed.items(), key=lambda item: (item[1].closeness or (), item[0]))
    return (
        *(_out_of_reach(group, job, standing, now) for group in out_of_reach),
        *(_missed(reason, group, standing) for (reason, _), group in near_first),
    )


def _misses(job: Job, checks: tuple[Check, ...], offer: Offer) -> list[Miss]:
    """Everything that the offer lacks, the GPU first, compared with the nearest alternative."""
    found = [gpu_miss(request, job.resources, offer) for request in job.resources.requests]
    misses = [] if None in found else sorted((miss for miss in found if miss), key=lambda miss: miss.distance)[:1]
    # Group by what is wrong with the offer itself; the list price as a reason comes last.
    return misses + [miss for check in checks if (miss := check(offer)) is not None]


def _out_of_reach(group: _Group, job: Job, standing: Mapping[str, Standing], now: datetime) -> Rejection:
    offer = group.example
    stands = standing_of(offer.provider, standing)
    detail = f"would cost {price_text(offer, job.nodes)}"
    if source := source_text(offer, now):
        detail = f"{detail} ({source})"
    return Rejection(stands.reason or "provider not usable", group.count, offer, detail, stands.hint)


def _missed(reason: str, group: _Group, standing: Mapping[str, Standing]) -> Rejection:
    details = [miss.detail for miss in group.misses]
    if group.example.obstacle and group.example.obstacle not in details:
        details.append(group.example.obstacle)
    hint = next((miss.hint for miss in group.misses if miss.hint), "")
    stands = standing_of(group.example.provider, standing)
    if not stands.usable:
        details.append(stands.reason or "provider not usable")
    distance = sum(miss.distance for miss in group.misses)
    return Rejection(reason, group.count, group.example, "; ".join(details), hint, distance)


def price_text(offer: Offer, nodes: int) -> str:
    """The hourly price of all nodes in words."""
    return "an unknown price" if offer.price is None else f"{(offer.price * nodes).display()} an hour"


def source_text(offer: Offer, now: datetime) -> str:
    """The price's source and age."""
    if offer.seen_at is None:
        return offer.price_source
    days = (now - offer.seen_at).days
    read = offer.seen_at.date().isoformat()
    source = offer.price_source if read in offer.price_source else f"{offer.price_source}, read {read}".lstrip(", ")
    return f"{source}, {days} days ago" if days > 1 else source


# Up to this distance the user would rather wait, or ask for a little less, than install another provider.
_WITHIN_REACH = 1.0


def nearest_miss(job: Job, catalog: Catalog, lost: tuple[Rejection, ...], standing: Mapping[str, Standing]) -> str:
    """By how much the nearest offer misses, in one sentence; a near offer of a usable provider comes first."""
    if not lost:
        return "no offer is known at all"
    unsold = [_unsold(request, job, catalog) for request in job.resources.requests]
    if unsold and all(unsold):
        offer = lost[0].example
        known = offer.gpu is None or any("nearest" in sentence for sentence in unsold)
        return "; ".join(unsold) + ("" if known else f"; the nearest is {GpuRequest(offer.gpu, offer.gpu_count)}")
    usable = [loss for loss in lost if standing_of(loss.example.provider, standing).usable and loss.distance <= _WITHIN_REACH]
    first = min(usable, key=lambda loss: loss.distance, default=lost[0])
    name = f"{first.example.provider} {first.example.instance_type}"
    name += "" if first.example.region == "*" else f" in {first.example.region}"
    if not first.detail.startswith("would cost"):
        return f"the nearest offer, {name}, does not serve: {first.detail}"
    return f"the nearest offer, {name}, {first.detail}, but: {first.reason}"


def _unsold(request: GpuRequest, job: Job, catalog: Catalog) -> str:
    """A sentence that nobody sells this alternative, with the nearest counts that are sold; empty if somebody sells it."""
    models = (request.gpu.model,) if request.gpu else catalog.models()
    pairs = [(model, count) for model in models for count in catalog.counts(model) if count]
    sold = sorted({count for model, count in pairs if _sold(GpuRequest(request.gpu, count), model, job, catalog)})
    if request.count in sold:
        return ""
    below = [count for count in sold if count < request.count][-1:]
    above = [count for count in sold if count > request.count][:1]
    near = [str(GpuRequest(request.gpu, count)) for count in below + above]
    if not near:
        return f"nobody sells {request}" + (f" with {job.resources.gpu_memory} GB" if job.resources.gpu_memory else "")
    return f"nobody sells {request}; the nearest {'are' if len(near) > 1 else 'is'} {' and '.join(near)}"


def _sold(request: GpuRequest, model: str, job: Job, catalog: Catalog) -> bool:
    return any(gpu_miss(request, job.resources, offer) is None for offer in catalog.select(model, request.count))
