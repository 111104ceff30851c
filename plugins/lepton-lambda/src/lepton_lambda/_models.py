"""Shapes on the wire, as published in Lambda Cloud API 1.10.0. Fields that are not used here, or new, are passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from lepton_sdk.spi import ContractViolation

__all__ = ["Instance", "InstanceType", "SshKey", "Stock", "take"]


def take(data: Any, key: str, kind: type) -> Any:
    """``data[key]``, which must be there and of a kind.

    Raises:
        ContractViolation: it is not.
    """
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        # The value alone: beside it an instance may carry the token of its notebook server.
        text = f"{key!r} of an answer is {str(value)[:100]!r}, not {kind.__name__}"
        raise ContractViolation(text, provider="lambda", hint="report it with this text")
    return value


@frozen
class InstanceType:
    """A type of machine and its price, the same in every region.

    Attributes:
        gpu: how Lambda describes one GPU, ``"H100 (80 GB SXM5)"``.
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
