"""Offer: one instance type at one provider in one region on one set of terms."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.money import Money
from lepton_sdk.errors import ContractViolation

__all__ = ["Availability", "Offer", "Terms", "TermsKind"]


class Availability(StrEnum):
    """Can the offer be taken now? The provider's last word. ``withheld``: it exists, but gets no new work."""

    AVAILABLE = "available"
    BUSY = "busy"
    NO_CAPACITY = "no-capacity"
    NO_QUOTA = "no-quota"
    WITHHELD = "withheld"
    UNKNOWN = "unknown"


class TermsKind(StrEnum):
    """The kinds of terms that capacity is sold on. ``owned`` is the user's own machine."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    RESERVED = "reserved"
    OWNED = "owned"


@frozen(order=True)
class Terms:
    """The terms of an offer: on demand, spot, reserved for some months, or owned.

    >>> str(Terms(TermsKind.RESERVED, 12))
    'reserved-12m'
    """

    kind: TermsKind = field(default=TermsKind.ON_DEMAND, converter=TermsKind)
    months: int | None = None

    @classmethod
    def parse(cls, text: str) -> Terms:
        """Read what `str` writes.

        Raises:
            ContractViolation: the text names no known terms.
        """
        match = re.fullmatch(r"reserved-(\d+)m", text)
        if match:
            return cls(TermsKind.RESERVED, int(match[1]))
        try:
            return cls(TermsKind(text))
        except ValueError:
            raise ContractViolation(f"{text!r} names no terms") from None

    def __str__(self) -> str:
        return f"reserved-{self.months}m" if self.months else str(self.kind)


@frozen
class Offer:
    """Capacity that can be taken, with its price and the source of that price.

    Attributes:
        provider: name of the plugin that sells it.
        instance_type: the vendor's own name.
        region: the vendor's own name; ``"*"`` if the source states one price for all regions.
        gpu: ``None`` on a CPU-only machine.
        gpu_count: GPUs of one node.
        cpus: virtual CPUs; ``None`` if the source does not say, as for the next two.
        memory_gib: main memory, GiB.
        disk_gib: local disk, GiB.
        price: of one node for one hour; ``None`` when unknown.
        price_source: the document or API that the price was read from.
        seen_at: when the source stated it, UTC.
        availability: the provider's last word.
        available_count: how many can be taken now, if the provider counts.
        obstacle: why it cannot be taken now, in the provider's words, with the host, limit or holder that blocks it; plans show
            it. Empty if the provider knows no more than ``availability`` says.
        hint: the next step; a command if there is one.
        start_seconds: expected time from acquire to a reachable node.
        flags: what the price check found on entry (`lepton_sdk.catalog.check_price`); a flagged offer never wins by itself.
        reference: the offer comes from the embedded reference data and cannot be taken as it is.
    """

    provider: str
    instance_type: str
    region: str = "*"
    gpu: Gpu | None = None
    gpu_count: int = 0
    cpus: float | None = None
    memory_gib: float | None = None
    disk_gib: float | None = None
    interconnect: str | None = None
    terms: Terms = field(factory=Terms)
    price: Money | None = None
    price_source: str = ""
    seen_at: datetime | None = None
    availability: Availability = field(default=Availability.UNKNOWN, converter=Availability)
    available_count: int | None = None
    obstacle: str = ""
    hint: str = ""
    start_seconds: int | None = None
    flags: tuple[str, ...] = ()
    reference: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The offer's name in the market: provider, instance type, region, terms."""
        return (self.provider, self.instance_type, self.region, str(self.terms))

    def to_dict(self) -> dict[str, object]:
        """The offer under the stable JSON keys of ``lepton offers --json``; money as text, times in ISO 8601."""
        gpu = self.gpu
        return {
            "provider": self.provider,
            "instance_type": self.instance_type,
            "region": self.region,
            "gpu": gpu.to_dict() if gpu else None,
            "gpu_count": self.gpu_count,
            "cpus": self.cpus,
            "memory_gib": self.memory_gib,
            "disk_gib": self.disk_gib,
            "interconnect": self.interconnect,
            "terms": str(self.terms),
            "price_per_hour": None if self.price is None else str(self.price),
            "currency": None if self.price is None else self.price.currency,
            "price_source": self.price_source,
            "seen_at": self.seen_at.isoformat() if self.seen_at else None,
            "availability": str(self.availability),
            "available_count": self.available_count,
            "obstacle": self.obstacle,
            "hint": self.hint,
            "start_seconds": self.start_seconds,
            "flags": list(self.flags),
            "reference": self.reference,
        }

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Offer:
        """The reverse of `to_dict`.

        Raises:
            ContractViolation: a key is missing, unknown or of the wrong type.
        """
        values = dict(data)
        try:
            gpu = values.pop("gpu")
            price, currency = values.pop("price_per_hour"), values.pop("currency")
            seen_at = values.pop("seen_at")
            return cls(
                gpu=Gpu.from_dict(gpu) if isinstance(gpu, dict) else None,
                price=None if price is None else Money(str(price), str(currency)),
                seen_at=datetime.fromisoformat(str(seen_at)) if seen_at else None,
                terms=Terms.parse(str(values.pop("terms"))),
                flags=tuple(values.pop("flags")),  # type: ignore[arg-type]
                **values,  # type: ignore[arg-type]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractViolation(f"the record of an offer does not hold: {error!r}") from error
