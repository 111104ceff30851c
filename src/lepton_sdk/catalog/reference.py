"""The embedded reference offers: list prices with their source and date, so that a price question needs no account."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from lepton_sdk.catalog.index import Catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, Terms

__all__ = ["COLUMNS", "reference_catalog"]

COLUMNS = (
    "provider",
    "instance_type",
    "region",
    "terms",
    "model",
    "form_factor",
    "gpu_memory_gib",
    "architecture",
    "gpu_count",
    "cpus",
    "memory_gib",
    "disk_gib",
    "interconnect",
    "price",
    "source",
    "as_of",
)


@cache
def reference_catalog() -> Catalog:
    """The list prices that ship with the SDK, in USD; each row says where and when it was read.

    They answer price questions. A run cannot take them: availability is unknown, and the live offers of a configured
    provider replace its rows (`Catalog.merge`).
    """
    text = (Path(__file__).parent / "reference.tsv").read_text(encoding="utf-8")
    return Catalog(_offer(*line.split("\t")) for line in text.splitlines() if not line.startswith("#"))


@cache
def _gpu(model: str, form_factor: str, memory: str, architecture: str) -> Gpu | None:
    return Gpu(model, form_factor or None, int(memory) if memory else None, architecture or None) if model else None


_terms = cache(Terms.parse)


@cache
def _seen_at(as_of: str) -> datetime:
    return datetime.fromisoformat(as_of).replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _offer(
    provider: str,
    instance_type: str,
    region: str,
    terms: str,
    model: str,
    form_factor: str,
    gpu_memory: str,
    architecture: str,
    gpu_count: str,
    cpus: str,
    memory: str,
    disk: str,
    interconnect: str,
    price: str,
    source: str,
    as_of: str,
) -> Offer:
    return Offer(
        provider=provider,
        instance_type=instance_type,
        region=region,
        gpu=_gpu(model, form_factor, gpu_memory, architecture),
        gpu_count=int(gpu_count),
        cpus=_number(cpus),
        memory_gib=_number(memory),
        disk_gib=_number(disk),
        interconnect=interconnect or None,
        terms=_terms(terms),
        price=Money(price),
        price_source=f"reference: {source}, read {as_of}",
        seen_at=_seen_at(as_of),
        reference=True,
    )
