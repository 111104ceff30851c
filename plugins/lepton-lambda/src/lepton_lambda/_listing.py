"""From what Lambda lists to offers and nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from lepton_lambda._models import Instance, InstanceType, Stock
from lepton_lambda._request import AT, OWNER, TOKEN
from lepton_lambda._sshkey import key_name
from lepton_sdk.spi import Availability, Gpu, LeptonError, Money, Node, NodeState, Offer, SSHAccess

__all__ = ["node_of", "offers_of", "owner_of", "price_of"]

_STATES = {
    "booting": (NodeState.PENDING, "booting"),
    "active": (NodeState.READY, ""),
    "unhealthy": (NodeState.FAILED, "Lambda calls it unhealthy"),
    "terminating": (NodeState.RELEASING, "terminating"),
    "terminated": (NodeState.GONE, "terminated"),
    "preempted": (NodeState.INTERRUPTED, "Lambda took it back"),
}


def price_of(kind: InstanceType) -> Money:
    """One hour of a type."""
    return Money(str(Decimal(kind.cents) / 100))


def offers_of(stock: Stock, seen_at: datetime) -> Iterator[Offer]:
    """An offer for each region with capacity; without any, one that says so."""
    for region in stock.regions or ("*",):
        yield Offer(
            provider="lambda",
            instance_type=stock.type.name,
            region=region,
            gpu=_gpu(stock.type),
            gpu_count=stock.type.gpus,
            cpus=stock.type.cpus,
            memory_gib=stock.type.memory_gib,
            disk_gib=stock.type.disk_gib,
            price=price_of(stock.type),
            price_source="Lambda Cloud API",
            seen_at=seen_at,
            availability=Availability.AVAILABLE if stock.regions else Availability.NO_CAPACITY,
        )


def _gpu(kind: InstanceType) -> Gpu | None:
    if not kind.gpus:
        return None
    try:
        return Gpu.parse(kind.gpu)
    except LeptonError:
        # A GPU that is newer than this version can still be asked for by Lambda's own name.
        return Gpu(kind.gpu.partition(" (")[0].replace(" ", "-") or kind.name)


def owner_of(instance: Instance) -> str | None:
    """Whose it is: by its tag, or by the SSH key that it was launched with when tags were taken off."""
    prefix = key_name("")
    by_key = (name.removeprefix(prefix) for name in instance.ssh_keys if name.startswith(prefix))
    return instance.tags.get(OWNER) or next(by_key, None)


def node_of(instance: Instance, config: Mapping[str, Any], identity: str | None) -> Node:
    """The node that an instance is; it can be reached once it is active and has an address."""
    state, detail = _STATES.get(instance.status, (NodeState.UNKNOWN, f"Lambda says {instance.status}"))
    if state is NodeState.READY and not instance.ip:
        state, detail = NodeState.PENDING, "active, without an address"
    access = SSHAccess(instance.ip, str(config["ssh_user"]), int(config["ssh_port"]), identity=identity)
    return Node(
        provider="lambda",
        id=instance.id,
        token=instance.tags.get(TOKEN),
        owner=owner_of(instance),
        state=state,
        access=access if state is NodeState.READY else None,
        instance_type=instance.type.name,
        region=instance.region,
        price=price_of(instance.type),
        since=_since(instance),
        detail=detail,
    )


def _since(instance: Instance) -> datetime | None:
    with suppress(ValueError):
        since = datetime.fromisoformat(instance.tags.get(AT, ""))
        return since if since.tzinfo else None
    return None
