"""The fleet's offers, group by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from lepton_byoc.observations import Look
from lepton_byoc.refusals import FRESH_SECONDS, Obstacle, host_obstacle, taken, twin_obstacle
from lepton_byoc.roster import FleetHost
from lepton_sdk.spi import Availability, Gpu, Money, Offer, Resources, Terms, TermsKind

__all__ = ["fleet_offers", "once_each", "part_price"]

_GIB = 1 << 30

Seen = tuple[FleetHost, Look]
# Group, model, number of GPUs, price.
Part = tuple[str, Gpu | None, int, Money]


def part_price(host: FleetHost, look: Look, gpus: int) -> Money:
    """The hourly price of a number of a host's GPUs: their share of the host. Without GPUs, the share of one."""
    share = Decimal(max(1, gpus)) / max(1, len(look.gpus()), gpus)
    price = (Decimal(str(host.price_per_hour)) * share).quantize(Decimal("0.000001"))
    return Money(format(price.normalize(), "f"))


def fleet_offers(provider: str, seen: Sequence[Seen], resources: Resources, now: datetime) -> Iterator[Offer]:
    """One offer for each group, GPU model, requested count (without a request: the free count) and price.

    Each host that is unavailable now has an offer of its own, with the reason.
    """
    parts: dict[Part, list[Seen]] = {}
    first = _first_names(seen)
    for host, look in seen:
        name = first.get(look.identity, host.name)
        obstacle = host_obstacle(host, look, now) or (twin_obstacle(host, name) if name != host.name else None)
        for gpu, count in _withheld_parts(look, resources) if obstacle else _parts(look, resources):
            part = (host.group, gpu, count, part_price(host, look, count))
            if why := obstacle or _full(host, look, part, now):
                kind = Availability.WITHHELD if obstacle else Availability.BUSY
                state = {"availability": kind, "available_count": 0, "obstacle": why.what, "hint": why.hint}
                yield _offer(provider, part, [(host, look)], f"{_name(part)}-on-{host.name}", **state)
            else:
                parts.setdefault(part, []).append((host, look))
    prices = Counter((group, gpu, count) for group, gpu, count, _ in parts)
    for part, hosts in parts.items():
        name = _name(part) + (f"-at-{part[3]}" if prices[part[:3]] > 1 else "")
        yield _offer(provider, part, hosts, name, **_room(part, hosts, now))


def _parts(look: Look, resources: Resources) -> Iterator[tuple[Gpu | None, int]]:
    yield None, 0
    for gpu, total in Counter(look.gpus().values()).items():
        fitting = [r.count for r in resources.requests if r.gpu is None or r.gpu.fits(gpu) is None]
        free = sum(one == gpu for one in look.free().values())
        yield from ((gpu, count) for count in sorted({min(count, total) for count in fitting} or {free or total}))


def once_each(seen: Sequence[Seen]) -> list[Seen]:
    """Each machine once, under its first name."""
    first = _first_names(seen)
    return [(host, look) for host, look in seen if first.get(look.identity, host.name) == host.name]


def _first_names(seen: Sequence[Seen]) -> dict[tuple[str, str] | None, str]:
    """Machine → its first listed host that answers; machines without identity are left out."""
    names: dict[tuple[str, str] | None, str] = {}
    for host, look in sorted(seen, key=lambda one: one[1].silence is not None):
        if look.identity is not None:
            names.setdefault(look.identity, host.name)
    return names


def _withheld_parts(look: Look, resources: Resources) -> list[tuple[Gpu | None, int]]:
    """One part for each GPU model, as large as requested, else all of it; for a host without GPUs the host."""
    counts = Counter(look.gpus().values())
    parts = [(gpu, count) for gpu, count in _parts(look, resources) if gpu]
    return [(gpu, count if resources.requests else counts[gpu]) for gpu, count in parts] or [(None, 0)]


def _full(host: FleetHost, look: Look, part: Part, now: datetime) -> Obstacle | None:
    """The reason where too few GPUs are free. "Full" becomes "unknown" when the probe is old: other clients release without
    telling us.
    """
    _, gpu, count, _ = part
    if gpu is None or _is_old(look, now) or sum(one == gpu for one in look.free().values()) >= count:
        return None
    return taken(host, look, gpu, count)


def _name(part: Part) -> str:
    group, gpu, count, _ = part
    return f"{group}-{count}x{gpu}" if gpu else f"{group}-cpu"


def _offer(provider: str, part: Part, hosts: Sequence[Seen], name: str, **availability: Any) -> Offer:
    group, gpu, count, price = part
    least = [look.probe["host"] for _, look in hosts]
    oldest = min(look.seen_at for _, look in hosts)
    return Offer(
        provider=provider,
        instance_type=name,
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
        **availability,
    )


def _room(part: Part, hosts: Sequence[Seen], now: datetime) -> dict[str, object]:
    """How many nodes fit on hosts that are not known to be full."""
    _, gpu, count, _ = part
    if not count:
        return {"availability": Availability.AVAILABLE, "available_count": len(hosts)}
    places = 0
    for _, look in hosts:
        gpus = look.gpus() if _is_old(look, now) else look.free()
        places += sum(one == gpu for one in gpus.values()) // count
    old = any(_is_old(look, now) for _, look in hosts)
    return {"availability": Availability.UNKNOWN if old else Availability.AVAILABLE, "available_count": places}


def _is_old(look: Look, now: datetime) -> bool:
    return (now - look.seen_at).total_seconds() > FRESH_SECONDS
