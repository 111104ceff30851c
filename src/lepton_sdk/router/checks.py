"""The checks that an offer must pass to serve a job: the filter and the explanation are one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from attrs import frozen

from lepton_sdk.domain.bill import SHORTEST_BILL
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Availability, Offer, TermsKind
from lepton_sdk.domain.resources import GpuRequest, Resources

__all__ = ["REFERENCE_ONLY", "Check", "Miss", "Standing", "gpu_miss", "offer_checks", "resource_checks", "standing_of"]

_NOT_STATED = 1.0
REFERENCE_ONLY = "reference price only"


@frozen
class Standing:
    """Whether a provider can be used now.

    Args:
        usable: its plugin is ready.
        reason: why not (``"no credentials"``).
        hint: the next step (``"set ACME_API_KEY"``).
        launch_gap: seconds that its vendor wants between two create calls; 0 where one call creates several machines.
    """

    usable: bool
    reason: str = ""
    hint: str = ""
    launch_gap: float = 0.0


class Miss(NamedTuple):
    """Why an offer does not serve: a reason to group by, the numbers, and the distance from serving (0 is near).

    ``alone``: the reason is about this offer only, so the explanation does not group others with it.
    """

    reason: str
    detail: str
    distance: float
    hint: str = ""
    alone: bool = False


Check = Callable[[Offer], Miss | None]


def gpu_miss(request: GpuRequest, resources: Resources, offer: Offer) -> Miss | None:
    """Why the offer's GPUs do not fit this alternative."""
    wanted, offered = request.gpu, offer.gpu
    apart = abs(offer.gpu_count - request.count) / request.count
    if offer.gpu_count == 0:
        return Miss("no GPU", f"has no GPU, {request} is wanted", 30)
    if wanted is not None:
        if offered is None:
            return Miss("another GPU model", f"does not state its GPU model, {wanted} is wanted", 20 + apart)
        if (words := wanted.fits(offered)) is not None:
            if offered.model == wanted.model:
                return Miss("another kind of this GPU", words, 5 + apart)
            return Miss("another GPU model", words, 10 + apart + _memory_apart(wanted, offered))
    if resources.gpu_memory is not None and (miss := _gpu_memory_miss(resources, offer)):
        return miss
    if offer.gpu_count != request.count:
        return Miss("another number of GPUs", f"has {offer.gpu_count} GPUs, {request.count} are wanted", 1 + apart)
    return None


def _memory_apart(wanted: Gpu, offered: Gpu) -> float:
    """The distance of two models, by the size of their memory; 1 if one is unknown."""
    have, need = max(offered.memory_sizes(), default=0), max(wanted.memory_sizes(), default=0)
    return abs(have - need) / max(have, need) if have and need else 1


def _gpu_memory_miss(resources: Resources, offer: Offer) -> Miss | None:
    wanted = resources.gpu_memory
    size = offer.gpu and (offer.gpu.memory_gib or offer.gpu.completed().memory_gib)
    if wanted is None or (size and wanted.contains(size)):
        return None
    if not size:
        return Miss("GPU memory not stated", f"does not state its GPU memory, {wanted} GB are wanted", 4)
    near = wanted.low if wanted.low and size < wanted.low else wanted.high or size
    return Miss("other GPU memory", f"has {size} GB per GPU, {wanted} are wanted", 2 + abs(near - size) / near)


def offer_checks(job: Job, *, live_only: bool = False) -> tuple[Check, ...]:
    """The checks for this job other than the GPU's; the first that fails names the reason.

    Args:
        job: a check exists only for what it asks for.
        live_only: rows of the embedded reference data do not serve.
    """
    return tuple(_checks(job, live_only))


def _checks(job: Job, live_only: bool) -> Iterator[Check]:
    yield from resource_checks(job.resources)
    if job.limits.hourly is not None:
        yield _hourly_limit(job.limits.hourly, job.nodes)
    if job.limits.total is not None:
        yield _total_limit(job.limits.total, job.nodes)
    yield _availability(job.nodes)
    if not job.resources.allow_flagged:
        yield _flags
    if live_only:
        yield _live


def resource_checks(wanted: Resources) -> Iterator[Check]:
    """The checks for resources alone, other than the GPU's."""
    for name, amount, few in _AMOUNTS:
        if getattr(wanted, name) is not None:
            yield _at_least(name, amount, few, getattr(wanted, name))
    if wanted.interconnect:
        yield _interconnect(wanted.interconnect)
    if wanted.regions:
        yield _one_of("region", wanted.regions, "outside the regions")
    if wanted.providers:
        yield _one_of("provider", wanted.providers, "outside the providers")
    yield _terms(wanted.spot)


_AMOUNTS = (
    ("cpus", "CPUs", "too few CPUs"),
    ("memory_gib", "GiB of memory", "too little memory"),
    ("disk_gib", "GiB of disk", "too little disk"),
)


def _at_least(name: str, amount: str, few: str, need: float) -> Check:
    def check(offer: Offer) -> Miss | None:
        have: float | None = getattr(offer, name)
        if have is not None and have >= need:
            return None
        if have is None:
            said = amount.removeprefix("GiB of ")
            return Miss(f"{said} not stated", f"does not state its {said}, {need:g} {amount} are wanted", _NOT_STATED)
        return Miss(few, f"has {have:g} {amount}, {need - have:g} below {need:g}", 1 - have / need)

    return check


def _interconnect(word: str) -> Check:
    def check(offer: Offer) -> Miss | None:
        if offer.interconnect and word.lower() in offer.interconnect.lower():
            return None
        have = f"has {offer.interconnect}" if offer.interconnect else "states no interconnect"
        return Miss("another interconnect", f"{have}, {word} is wanted", _NOT_STATED)

    return check


def _one_of(name: str, patterns: tuple[str, ...], reason: str) -> Check:
    from fnmatch import fnmatchcase

    lower = [pattern.lower() for pattern in patterns]

    def check(offer: Offer) -> Miss | None:
        value: str = getattr(offer, name)
        # "*" in an offer: the source states one price for all regions.
        if value == "*" or any(fnmatchcase(value.lower(), pattern) for pattern in lower):
            return None
        return Miss(reason, f"{name} {value} is not {' or '.join(patterns)}", 2)

    return check


def _terms(spot: bool | None) -> Check:
    def check(offer: Offer) -> Miss | None:
        kind = offer.terms.kind
        if kind is TermsKind.RESERVED:
            return Miss("reserved terms", f"is sold as {offer.terms}; reserved capacity is never taken by itself", 3)
        if kind is TermsKind.SPOT and spot is False:
            return Miss("spot", "is spot capacity, which can be taken back", 1, "allow it with spot: any")
        if kind is not TermsKind.SPOT and spot is True:
            return Miss("not spot", f"is sold {offer.terms}, spot is wanted", 1, "allow it with spot: any")
        return None

    return check


def _comparable(offer: Offer, limit: Money) -> Miss | None:
    if offer.price is None:
        return Miss("price unknown", f"has no known price, so the limit {limit} cannot be kept", _NOT_STATED)
    if offer.price.currency != limit.currency:
        detail = f"is priced in {offer.price.currency}, the limit is in {limit.currency}"
        return Miss("another currency", detail, _NOT_STATED)
    return None


def _hourly_limit(limit: Money, nodes: int) -> Check:
    def check(offer: Offer) -> Miss | None:
        if offer.price is None or offer.price.currency != limit.currency:
            return _comparable(offer, limit)
        hourly = offer.price * nodes
        if hourly <= limit:
            return None
        over = hourly - limit
        detail = f"costs {hourly} an hour, {over} above the limit {limit}"
        return Miss("above the hourly limit", detail, float(over.amount / limit.amount) if limit else 1e6)

    return check


def _total_limit(limit: Money, nodes: int) -> Check:
    def check(offer: Offer) -> Miss | None:
        if offer.price is None or offer.price.currency != limit.currency:
            return _comparable(offer, limit)
        least = Money(offer.price.amount * nodes * SHORTEST_BILL / 3600, limit.currency)
        if least <= limit:
            return None
        detail = f"costs {least.rounded(4)} for one minute, above the total limit {limit}"
        return Miss("above the total limit", detail, float(least.amount / limit.amount) if limit else 1e6)

    return check


_TAKEN = {
    Availability.NO_CAPACITY: ("no capacity", "the provider has none left"),
    Availability.BUSY: ("busy", "is in use"),
    Availability.NO_QUOTA: ("no quota", "the account may not take it"),
    Availability.WITHHELD: ("withheld", "is kept away from new work"),
}


def _availability(nodes: int) -> Check:
    def check(offer: Offer) -> Miss | None:
        if offer.availability in _TAKEN:
            reason, words = _TAKEN[offer.availability]
            return Miss(reason, offer.obstacle or words, 0.5, offer.hint, alone=bool(offer.obstacle))
        free = offer.available_count
        if free is not None and free < nodes:
            return Miss("too few free", f"{free} can be taken now, {nodes} are wanted", 1 - free / nodes)
        return None

    return check


def _flags(offer: Offer) -> Miss | None:
    if not offer.flags:
        return None
    return Miss("price in doubt", "; ".join(offer.flags), 0.3, "check it with the seller, then allow flagged offers")


def _live(offer: Offer) -> Miss | None:
    if not offer.reference:
        return None
    return Miss(REFERENCE_ONLY, "the price is a list price, the provider did not offer it now", 0.2)


def standing_of(provider: str, standing: Mapping[str, Standing]) -> Standing:
    """The standing of a provider; a provider without an entry has no plugin here."""
    return standing.get(provider) or Standing(
        False,
        "provider not installed",
        "install the provider's plugin, by convention named lepton-PROVIDER; `lepton plugins` shows what is there",
    )
