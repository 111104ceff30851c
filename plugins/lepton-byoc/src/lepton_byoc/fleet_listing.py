"""The parts of the fleet that can be had, group by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from lepton_byoc.looks import Look
from lepton_byoc.roster import FleetHost
from lepton_sdk.spi import Availability, Gpu, Money, Offer, Resources, Terms, TermsKind

__all__ = ["fleet_offers", "part_price"]

_GIB = 1 << 30
# After so long nobody knows whether what was held then still is.
_FRESH_SECONDS = 60.0

Seen = tuple[FleetHost, Look]
# Group, model, how many, price.
Part = tuple[str, Gpu | None, int, Money]


def part_price(host: FleetHost, look: Look, gpus: int) -> Money:
    """What an hour of so many GPUs of a host costs: their share of it. Without GPUs, the share of one."""
    share = Decimal(max(1, gpus)) / max(1, len(look.gpus()), gpus)
    price = (Decimal(str(host.price_per_hour)) * share).quantize(Decimal("0.000001"))
    return Money(format(price.normalize(), "f"))


def fleet_offers(provider: str, seen: Sequence[Seen], resources: Resources, now: datetime) -> Iterator[Offer]:
    """One offer for each group, model of GPU, count that is asked for (without a request: that is free) and price."""
    parts: dict[Part, list[Seen]] = {}
    for host, look in seen:
        if look.cordon is None and not host.is_quiet(now):
            for gpu, count in _parts(look, resources):
                parts.setdefault((host.group, gpu, count, part_price(host, look, count)), []).append((host, look))
    prices = Counter((group, gpu, count) for group, gpu, count, _ in parts)
    for part, hosts in parts.items():
        yield _offer(provider, part, hosts, now, named_by_price=prices[part[:3]] > 1)


def _parts(look: Look, resources: Resources) -> Iterator[tuple[Gpu | None, int]]:
    yield None, 0
    for gpu, total in Counter(look.gpus().values()).items():
        fitting = [r.count for r in resources.requests if r.gpu is None or r.gpu.fits(gpu) is None]
        free = sum(one == gpu for one in look.free().values())
        yield from ((gpu, count) for count in sorted({min(count, total) for count in fitting} or {free or total}))


def _offer(provider: str, part: Part, hosts: Sequence[Seen], now: datetime, *, named_by_price: bool) -> Offer:
    group, gpu, count, price = part
    name = f"{group}-{count}x{gpu}" if gpu else f"{group}-cpu"
    least = [look.probe["host"] for _, look in hosts]
    oldest = min(look.seen_at for _, look in hosts)
    return Offer(
        provider=provider,
        instance_type=f"{name}-at-{price}" if named_by_price else name,
        region=group,
        gpu=gpu,
        gpu_count=count,
        cpus=float(min(host["cpus"] for host in least)),
        memory_gib=round(min(host["memory_bytes"] for host in least) / _GIB, 2),
        disk_gib=round(min(host["home_free_bytes"] or 0 for host in least) / _GIB, 1),
        terms=Terms(TermsKind.OWNED),
        price=price,
        price_source="own machine, price set by the user" if price else "own machine",
        seen_at=oldest,
        start_seconds=0,
        **_availability(part, hosts, now),  # type: ignore[arg-type]
    )


def _availability(part: Part, hosts: Sequence[Seen], now: datetime) -> dict[str, object]:
    """Full as it was last seen is unknown once that is old: others give back without telling us."""
    _, gpu, count, _ = part
    if not count:
        return {"availability": Availability.AVAILABLE, "available_count": len(hosts)}
    places = 0
    old = False
    for _, look in hosts:
        free = sum(one == gpu for one in look.free().values())
        stale = (now - look.seen_at).total_seconds() > _FRESH_SECONDS
        old = old or stale
        places += (sum(one == gpu for one in look.gpus().values()) if stale else free) // count
    if places:
        return {"availability": Availability.UNKNOWN if old else Availability.AVAILABLE, "available_count": places}
    return {"availability": Availability.BUSY, "available_count": 0}
