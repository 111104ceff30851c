"""Turns Crusoe's listings into offers and nodes. Prices come from the user or the reference rows: the API lists none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache

from attrs import field, frozen

from lepton_crusoe._models import Capacity, Disk, InstanceType, Machine, Quota, read_name
from lepton_sdk.spi import Availability, ConfigError, Gpu, LeptonError, Money, Node, NodeState, Offer, Terms, reference_offers

__all__ = [
    "Price",
    "Prices",
    "Stock",
    "child_node",
    "node_of",
    "offers_of",
    "owned",
    "type_named",
]

_SAID = "config providers.crusoe.prices"
_NOBODY = "none: Crusoe's API lists no prices; set providers.crusoe.prices"
# A price that is higher than planned by more than this is another offer.
_TOLERANCE = Decimal("1.05")

# The published API has only STATE_RUNNING; clients that Crusoe and dstack publish use the others.
_STATES = {
    "STATE_RUNNING": NodeState.READY,
    "STATE_CREATING": NodeState.PENDING,
    "STATE_PENDING": NodeState.PENDING,
    "STATE_STARTING": NodeState.PENDING,
    "STATE_STOPPING": NodeState.STOPPED,
    "STATE_STOPPED": NodeState.STOPPED,
    "STATE_SHUTOFF": NodeState.STOPPED,
    "STATE_ERROR": NodeState.FAILED,
    "STATE_FAILED": NodeState.FAILED,
    "STATE_DELETING": NodeState.RELEASING,
    "STATE_DELETED": NodeState.GONE,
}


@frozen
class Stock:
    """The vendor's market at one time."""

    types: Mapping[str, InstanceType]
    capacities: tuple[Capacity, ...]
    quotas: Mapping[str, Quota]


def offers_of(stock: Stock, prices: Prices, seen_at: datetime) -> Iterator[Offer]:
    """An offer for each type in each counted location; a type without any appears once, as sold out."""
    counted = {capacity.type for capacity in stock.capacities}
    for capacity in stock.capacities:
        if (kind := stock.types.get(capacity.type)) is not None:
            yield _offer(kind, capacity, stock.quotas, prices, seen_at)
    for kind in stock.types.values():
        if kind.name not in counted:
            yield _offer(kind, Capacity(kind.name, "*", 0, ""), stock.quotas, prices, seen_at)


def _offer(kind: InstanceType, capacity: Capacity, quotas: Mapping[str, Quota], prices: Prices, seen_at: datetime) -> Offer:
    price = prices.of(kind)
    return Offer(
        provider="crusoe",
        instance_type=kind.name,
        region=capacity.location,
        gpu=_gpu(kind),
        gpu_count=kind.gpus,
        cpus=kind.cpus,
        memory_gib=kind.memory,
        disk_gib=kind.disk,
        interconnect="InfiniBand" if kind.family.endswith("-ib") else None,
        price=price.amount,
        price_source=price.source,
        seen_at=price.read_at or seen_at,
        availability=_availability(capacity, quotas.get(capacity.quota)),
        available_count=capacity.quantity,
    )


def _availability(capacity: Capacity, quota: Quota | None) -> Availability:
    if not capacity.quantity:
        return Availability.NO_CAPACITY
    # It is not published what a quota counts (machines, GPUs, slices), so only an exhausted one is meaningful.
    return Availability.NO_QUOTA if quota is not None and quota.available == 0 else Availability.AVAILABLE


def _gpu(kind: InstanceType) -> Gpu | None:
    """The four fields from the vendor's name of the GPU, completed from the type's name where that says more."""
    if not kind.gpus:
        return None
    read = [gpu for text in (kind.gpu, kind.family) if (gpu := _parsed(text)) is not None]
    if not read:
        # A job can request a GPU that is newer than this version by the vendor's own name.
        return Gpu(kind.gpu.replace(" ", "-") or kind.family)
    first, last = read[0], read[-1]
    if first.model != last.model:
        return first
    return Gpu(
        first.model,
        first.form_factor or last.form_factor,
        first.memory_gib or last.memory_gib,
        first.architecture or last.architecture,
    )


def _parsed(text: str) -> Gpu | None:
    with suppress(LeptonError):
        return Gpu.parse(text)
    return None


def node_of(machine: Machine, prices: Prices, project: str) -> Node:
    """The node of a machine, without its access. A running machine without an address is pending."""
    state = _STATES.get(machine.state, NodeState.UNKNOWN)
    detail = machine.state
    if state is NodeState.READY and not machine.ip:
        state, detail = NodeState.PENDING, "running, without a public address"
    stamp = read_name(machine.name)
    return Node(
        provider="crusoe",
        id=machine.id,
        token=stamp.token if stamp else None,
        owner=stamp.owner if stamp else None,
        state=state,
        instance_type=machine.type,
        region=machine.location,
        price=prices.told(type_named(machine.type)),
        since=_time(machine.created_at),
        detail=detail,
        # A machine that was seen once and is absent is gone; one that was never seen may still appear.
        provider_data={"project": project, "seen": "yes"},
    )


def type_named(name: str) -> InstanceType:
    """The family and GPU count in a type's name, without a listing (``a100-80gb.8x``)."""
    count = name.rpartition(".")[2].removesuffix("x")
    return InstanceType(name, "", int(count) if count.isdecimal() else 0, 0, 0, 0)


def child_node(kind: str, thing: Disk | str, name: str, project: str) -> Node:
    """The node of a disk or a partition (by its id): billed and released separately."""
    stamp = read_name(name)
    disk = thing if isinstance(thing, Disk) else None
    return Node(
        provider="crusoe",
        id=disk.id if disk else str(thing),
        token=stamp.token if stamp else None,
        owner=stamp.owner if stamp else None,
        kind=kind,
        state=NodeState.READY,
        region=disk.location if disk else "",
        since=_time(disk.created_at) if disk else None,
        detail=name,
        provider_data={"project": project},
    )


def owned(names: Iterable[str], owner: str, token: str | None) -> set[str]:
    """The names that carry the owner (``"*"``: any) and the token (``None``: any)."""
    found = {name: stamp for name in names if (stamp := read_name(name)) is not None}
    return {name for name, stamp in found.items() if owner in ("*", stamp.owner) and token in (None, stamp.token)}


def _time(text: str) -> datetime | None:
    with suppress(ValueError):
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return None


# --- prices -----------------------------------------------------------------------------------------------------------


@frozen
class Price:
    """The hourly price and its source; ``read_at`` if it was read on another day."""

    amount: Money | None
    source: str
    read_at: datetime | None = None


@frozen
class Prices:
    """The hourly price: from the user's settings, else from the dated list prices of the SDK.

    Attributes:
        said: name of a type or a family → dollars per hour, for the machine or for each GPU.
    """

    said: Mapping[str, Decimal] = field(hash=False)

    @classmethod
    def read(cls, lines: Iterable[object]) -> Prices:
        """From ``["h100-80gb-sxm-ib=3.90", "a100-80gb.2x=4.60"]``.

        Raises:
            ConfigError: a malformed line; the message names it.
        """
        return cls(dict(map(_read_price, lines)))

    def of(self, kind: InstanceType) -> Price:
        """One hour of a machine: the type's own price, else its family's for each GPU, else the list price."""
        if kind.name in self.said:
            return Price(Money(str(self.said[kind.name])), _SAID)
        if kind.family in self.said and kind.gpus:
            return Price(Money(str(self.said[kind.family] * kind.gpus)), _SAID)
        rows = [row for row in _references() if kind.gpus and (gpu := _gpu(kind)) and row.gpu and gpu.fits(row.gpu) is None]
        # If a name is ambiguous, use the highest price: a budget must hold.
        row = max(rows, key=lambda row: row.price.amount if row.price else Decimal(0), default=None)
        if row is None or row.price is None:
            return Price(None, _NOBODY)
        return Price(row.price * Decimal(kind.gpus), row.price_source, row.seen_at)

    def told(self, kind: InstanceType) -> Money | None:
        """A machine's price from the user's settings, who has a contract. A dated list is not a bill, so it does not count."""
        price = self.of(kind)
        return price.amount if price.source == _SAID else None

    def still(self, kind: InstanceType, planned: Money | None) -> str:
        """Why a planned price is no longer valid; empty if it is."""
        now = self.of(kind).amount
        if planned is None or now is None or now.amount <= planned.amount * _TOLERANCE:
            return ""
        return f"{kind.name} was planned at {planned.display()} an hour, now {now.display()}"


@cache
def _references() -> tuple[Offer, ...]:
    """List prices of one GPU of a kind."""
    return tuple(row for row in reference_offers("crusoe") if row.terms == Terms() and row.gpu_count == 1)


def _read_price(line: object) -> tuple[str, Decimal]:
    name, _, text = str(line).partition("=")
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        amount = Decimal(-1)
    if not name.strip() or not amount.is_finite() or amount <= 0:
        raise ConfigError(
            f"providers.crusoe.prices: {line!r} is not a name and a price above 0",
            hint='write "h100-80gb-sxm-ib=3.90" for one GPU-hour, or "a100-80gb.2x=4.60" for an hour of one machine',
        )
    return name.strip(), amount
