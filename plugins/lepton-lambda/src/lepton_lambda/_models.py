"""Shapes on the wire, as published in Lambda Cloud API 1.10.0, and their translation to offers, launches and nodes.

Unused and unknown fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from attrs import frozen

from lepton_sdk.spi import (
    Availability,
    ConfigError,
    ContractViolation,
    Gpu,
    Launch,
    LeptonError,
    Money,
    Node,
    NodeState,
    Offer,
    SSHAccess,
)

__all__ = [
    "Instance",
    "InstanceType",
    "SshKey",
    "Stock",
    "launch_request",
    "node_of",
    "offers_of",
    "owner_of",
    "price_of",
    "take",
]

# Keys of tags: ^[a-z][a-z0-9-:]+$, at most 55 letters; values at most 128.
OWNER, TOKEN, AT = "lepton-owner", "lepton-token", "lepton-at"
_LONGEST_NAME, _LONGEST_TAG = 64, 128
_IMAGE_ID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
_STATES = {
    "booting": (NodeState.PENDING, "booting"),
    "active": (NodeState.READY, ""),
    "unhealthy": (NodeState.FAILED, "Lambda calls it unhealthy"),
    "terminating": (NodeState.RELEASING, "terminating"),
    "terminated": (NodeState.GONE, "terminated"),
    "preempted": (NodeState.INTERRUPTED, "Lambda took it back"),
}


def take(data: Any, key: str, kind: type) -> Any:
    """``data[key]``, which must exist and have the given type.

    Raises:
        ContractViolation: it is missing or of another type.
    """
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        # The value alone: the rest of an instance may contain the token of its notebook server.
        text = f"{key!r} of an answer is {str(value)[:100]!r}, not {kind.__name__}"
        raise ContractViolation(text, provider="lambda", hint="report it with this text")
    return value


@frozen
class InstanceType:
    """A type of machine and its price, the same in every region.

    Attributes:
        gpu: Lambda's description of one GPU, ``"H100 (80 GB SXM5)"``.
        cents: US cents for one hour.
    """

    name: str
    gpu: str
    cents: int
    cpus: int
    memory_gib: int
    disk_gib: int
    gpus: int

    @classmethod
    def read(cls, data: Any) -> InstanceType:
        specs = take(data, "specs", dict)
        return cls(
            name=take(data, "name", str),
            gpu=take(data, "gpu_description", str),
            cents=take(data, "price_cents_per_hour", int),
            cpus=take(specs, "vcpus", int),
            memory_gib=take(specs, "memory_gib", int),
            disk_gib=take(specs, "storage_gib", int),
            gpus=take(specs, "gpus", int),
        )


@frozen
class Stock:
    """A type, and the regions in which it can be launched now."""

    type: InstanceType
    regions: tuple[str, ...]

    @classmethod
    def read(cls, data: Any) -> Stock:
        regions = take(data, "regions_with_capacity_available", list)
        names = tuple(take(region, "name", str) for region in regions)
        return cls(InstanceType.read(take(data, "instance_type", dict)), names)


@frozen
class Instance:
    """A machine.

    Attributes:
        status: ``booting``, ``active``, ``unhealthy``, ``terminated``, ``terminating`` or ``preempted``.
        ip: the public address; empty until there is one.
    """

    id: str
    status: str
    ip: str
    region: str
    type: InstanceType
    tags: Mapping[str, str]
    ssh_keys: tuple[str, ...]

    @classmethod
    def read(cls, data: Any) -> Instance:
        return cls(
            id=take(data, "id", str),
            status=take(data, "status", str),
            ip=data.get("ip") or "",
            region=take(take(data, "region", dict), "name", str),
            type=InstanceType.read(take(data, "instance_type", dict)),
            tags=dict(_tags(data.get("tags"))),
            ssh_keys=tuple(map(str, take(data, "ssh_key_names", list))),
        )


def _tags(data: Any) -> Iterator[tuple[str, str]]:
    for entry in data or ():
        yield take(entry, "key", str), take(entry, "value", str)


@frozen
class SshKey:
    """A registered public key."""

    id: str
    name: str
    public_key: str

    @classmethod
    def read(cls, data: Any) -> SshKey:
        return cls(take(data, "id", str), take(data, "name", str), take(data, "public_key", str))


# --- launches ---------------------------------------------------------------------------------------------------------


def launch_request(config: Mapping[str, Any], offer: Offer, launch: Launch, key: str, now: datetime) -> dict[str, Any]:
    """The body of ``POST /instance-operations/launch``.

    Args:
        key: name of the SSH key.
        now: the API states no launch time, so the instance carries ours.

    Raises:
        ConfigError: owner or token are longer than Lambda's names may be.
    """
    tags = {OWNER: launch.owner, TOKEN: launch.token, AT: now.isoformat(timespec="seconds")}
    _check("the SSH key's name", key, _LONGEST_NAME)
    for name, value in tags.items():
        _check(f"the tag {name}", value, _LONGEST_TAG)
    return {
        "region_name": offer.region,
        "instance_type_name": offer.instance_type,
        "ssh_key_names": [key],
        "name": f"{launch.job_name}-{launch.attempt}-{launch.rank}"[-_LONGEST_NAME:],
        "tags": [{"key": name, "value": value} for name, value in tags.items()],
        **({"user_data": launch.startup_script} if launch.startup_script else {}),
        **_options(config),
    }


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if image := config.get("image"):
        options["image"] = {"id" if _IMAGE_ID.fullmatch(image) else "family": image}
    if systems := config.get("file_systems"):
        options["file_system_names"] = list(systems)
    if rulesets := config.get("firewall_rulesets"):
        options["firewall_rulesets"] = [{"id": name} for name in rulesets]
    return options


def _check(what: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise ConfigError(
            f"{what} would be {value!r}, {len(value)} letters; Lambda takes {longest}",
            provider="lambda",
            hint="use a shorter owner",
        )


# --- offers and nodes -------------------------------------------------------------------------------------------------


def price_of(kind: InstanceType) -> Money:
    """The hourly price of a type."""
    return Money(str(Decimal(kind.cents) / 100))


def offers_of(stock: Stock, seen_at: datetime) -> Iterator[Offer]:
    """An offer for each region with capacity; without any, one offer that is sold out."""
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
        # A job can request a GPU that is newer than this version by Lambda's own name.
        return Gpu(kind.gpu.partition(" (")[0].replace(" ", "-") or kind.name)


def owner_of(instance: Instance) -> str | None:
    """Its owner: by its tag, or, if tags were removed, by the SSH key that it was launched with."""
    by_key = (name.removeprefix("lepton-") for name in instance.ssh_keys if name.startswith("lepton-"))
    return instance.tags.get(OWNER) or next(by_key, None)


def node_of(instance: Instance, config: Mapping[str, Any], identity: str | None) -> Node:
    """The node of an instance; it is reachable once it is active and has an address."""
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
