"""The router's questions: which offers match, and where should a job run?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from lepton_sdk.catalog import Catalog, Key, price_order
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import GpuRequest, Resources
from lepton_sdk.router.checks import Check, Standing, gpu_miss, offer_checks, resource_checks, standing_of
from lepton_sdk.router.plan import Plan
from lepton_sdk.router.score import Ranked, rank

__all__ = ["matching", "route"]


def route(
    job: Job,
    catalog: Catalog,
    *,
    standing: Mapping[str, Standing],
    now: datetime,
    limit: int = 20,
    live_only: bool = False,
    also: Sequence[Resources] = (),
) -> Plan:
    """The plan for a job: which offers serve it, the best first, and (when asked) why every other one lost.

    Pure and deterministic: the same values give the same plan. It considers only offers of the requested GPU models and
    counts; a job without GPU request can use every machine.

    Args:
        job: what to run.
        catalog: what is sold.
        standing: by provider; a provider without an entry is not installed.
        now: the time for the ages of prices, UTC.
        limit: how many candidates the plan keeps; iterating it gives all.
        also: what an offer must have beyond the job's requests, its GPUs excluded (from observers).
        live_only: the embedded list prices may not win (to rent a machine, not only to ask for a price).
    """
    narrower = (check for resources in also for check in resource_checks(resources))
    checks = (*offer_checks(job, live_only=live_only), *narrower)
    usable = {name: standing_of(name, standing).usable for name in standing}
    gaps = {name: state.launch_gap for name, state in standing.items()}
    found: list[Ranked] = []
    for key, requests in _asked_keys(job.resources, catalog):
        for offer in catalog.select(*key):
            if usable.get(offer.provider) and _serves(checks, offer):
                served = _served(requests, job.resources, offer)
                if served is not None or not requests:
                    # The number orders two rows of equal rank as in the catalog.
                    found.append((rank(job, offer, gaps[offer.provider]), len(found), offer, served))
    return Plan(job, catalog, found, standing=standing, now=now, limit=limit, checks=checks)


def matching(resources: Resources, catalog: Catalog) -> list[Offer]:
    """Offers that fit ``resources``, cheapest first, whatever the provider and the availability."""
    checks = tuple(resource_checks(resources))
    found = [
        offer
        for key, requests in _asked_keys(resources, catalog)
        for offer in catalog.select(*key)
        if _serves(checks, offer) and (not requests or _served(requests, resources, offer) is not None)
    ]
    return sorted(found, key=price_order)


def _asked_keys(resources: Resources, catalog: Catalog) -> Iterator[tuple[Key, list[GpuRequest]]]:
    """The keys to consider, each once, with the alternatives that it may serve; every key if no GPU is requested."""
    requests = resources.requests
    if not requests:
        yield from ((key, []) for key in catalog.sold())
        return
    asked: dict[Key, list[GpuRequest]] = {}
    for request in requests:
        models = (request.gpu.model,) if request.gpu else (*catalog.models(), None)
        for model in models:
            asked.setdefault((model, request.count), []).append(request)
    yield from asked.items()


def _serves(checks: tuple[Check, ...], offer: Offer) -> bool:
    return all(check(offer) is None for check in checks)


def _served(requests: list[GpuRequest], resources: Resources, offer: Offer) -> GpuRequest | None:
    return next((request for request in requests if gpu_miss(request, resources, offer) is None), None)
