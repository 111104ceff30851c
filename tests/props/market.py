"""Offers of a small market, and plans for a job in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lepton_sdk.catalog import Catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Availability, Offer
from lepton_sdk.router import Plan, Standing, route

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
USABLE = Standing(usable=True)


def box(**fields: Any) -> Offer:
    """An 8-GPU machine that serves everything asked below, but for the fields that a test changes."""
    values: dict[str, Any] = {
        "provider": "acme",
        "instance_type": "big",
        "region": "north-1",
        "gpu": Gpu("H100", "SXM", 80),
        "gpu_count": 8,
        "cpus": 124.0,
        "memory_gib": 1800.0,
        "disk_gib": 1000.0,
        "interconnect": "InfiniBand",
        "price": Money("49.24"),
        "availability": Availability.AVAILABLE,
    }
    return Offer(**{**values, **fields})


def acme(name: str, price: str | None, **fields: Any) -> Offer:
    return Offer("acme", name, price=None if price is None else Money(price), **fields)


def plan_of(job: Job, *rows: Offer, **options: Any) -> Plan:
    return route(job, Catalog(rows), standing={"acme": USABLE, "mine": USABLE}, now=NOW, **options)


def order(plan: Plan) -> list[str]:
    return [candidate.offer.instance_type for candidate in plan]
