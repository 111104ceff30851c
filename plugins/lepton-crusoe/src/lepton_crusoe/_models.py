"""Shapes of Crusoe's published API v1, read tolerantly: unknown fields are ignored, missing ones are reported.

The API has no tags, so only the name marks a thing as ours: it carries owner and token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from lepton_sdk.spi import ConfigError, ContractViolation

__all__ = [
    "Capacity",
    "Disk",
    "InstanceType",
    "Machine",
    "Network",
    "Operation",
    "Partition",
    "Quota",
    "Role",
    "Stamp",
    "items",
    "name_for",
    "read_name",
    "required",
]

# The published API states no rule for names; these letters and this length are valid as a host name everywhere.
_PART = re.compile(r"[a-z0-9]{1,24}")
_NAME = re.compile(r"lepton-([a-z0-9]{1,24})-([a-z0-9]{1,24})(?:-.*)?")


def items(body: Any, key: str = "items") -> list[Mapping[str, Any]]:
    """The list in a reply.

    Raises:
        ContractViolation: the reply has no such list.
    """
    found = body.get(key) if isinstance(body, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ContractViolation(f"a reply holds no list {key!r}: {str(body)[:200]}", provider="crusoe")
    return found


def required(data: Any, key: str) -> str:
    """A text of a reply.

    Raises:
        ContractViolation: the reply has no such text.
    """
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, str) or not value:
        raise ContractViolation(f"a reply lacks {key!r}: {str(data)[:200]}", provider="crusoe")
    return value


def _text(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0


@frozen
class InstanceType:
    """A type of machine; memory and disk in the vendor's gigabytes. ``gpu`` is as the vendor writes it."""

    name: str
    gpu: str
    gpus: int
    cpus: int
    memory: int
    disk: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> InstanceType:
        """From the JSON of ``Type``."""
        numbers = (_number(data, key) for key in ("num_gpu", "cpu_cores", "memory_gb", "disk_gb"))
        return cls(required(data, "product_name"), _text(data, "gpu_type"), *numbers)

    @property
    def family(self) -> str:
        """The name without the count: ``h100-80gb-sxm-ib`` of ``h100-80gb-sxm-ib.8x``."""
        return self.name.rpartition(".")[0] or self.name


@frozen
class Capacity:
    """How many machines of a type a location has available now."""

    type: str
    location: str
    quantity: int
    quota: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Capacity:
        """From the JSON of ``CapacityV1``."""
        return cls(_text(data, "type"), required(data, "location"), _number(data, "quantity"), _text(data, "quota_type"))


@frozen
class Quota:
    """The project's remaining quota of a kind; ``available`` is ``None`` where the vendor does not say."""

    name: str
    available: int | None
    used: int
    max: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Quota:
        """From the JSON of ``ProjectQuota``."""
        available = data.get("available")
        left = available if isinstance(available, int) else None
        return cls(_text(data, "programmatic_name"), left, _number(data, "used"), _number(data, "max"))


@frozen
class Role:
    """A role of the key's user, and where it holds: ``scope`` is ``org`` or ``project``, ``place`` the id of either."""

    name: str
    scope: str
    place: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Role:
        """From the JSON of ``RoleBinding``."""
        return cls(_text(data, "role_name"), _text(data, "scope_type"), _text(data, "scope_object_id"))


@frozen
class Machine:
    """A virtual machine: ``ip`` is the first public address, ``partitions`` are those that its adapters joined."""

    id: str
    name: str
    type: str
    location: str
    state: str
    created_at: str
    ip: str
    partitions: tuple[str, ...]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Machine:
        """From the JSON of ``InstanceV1``."""
        adapters = [adapter for adapter in data.get("host_channel_adapters") or () if isinstance(adapter, dict)]
        keys = ("transport_partition_id", "ib_partition_id")
        joined = {adapter.get(key) for adapter in adapters for key in keys}
        return cls(
            id=required(data, "id"),
            name=_text(data, "name"),
            type=_text(data, "type"),
            location=_text(data, "location"),
            state=_text(data, "state"),
            created_at=_text(data, "created_at"),
            ip=_public_address(data),
            partitions=tuple(sorted(one for one in joined if one)),
        )


def _public_address(data: Mapping[str, Any]) -> str:
    for interface in data.get("network_interfaces") or ():
        for pair in (interface.get("ips") or ()) if isinstance(interface, dict) else ():
            if isinstance(pair, dict) and (address := _text(pair.get("public_ipv4"), "address")):
                return address
    return ""


@frozen
class Disk:
    """A persistent disk; ``machines`` maps the id of each machine that holds it to ``os`` or ``data``."""

    id: str
    name: str
    location: str
    created_at: str
    machines: Mapping[str, str] = field(hash=False)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Disk:
        """From the JSON of ``DiskV1``."""
        held = [item for item in data.get("attached_to") or () if isinstance(item, dict)]
        machines = {_text(item, "vm_id"): _text(item, "attachment_type") for item in held}
        return cls(required(data, "id"), _text(data, "name"), _text(data, "location"), _text(data, "created_at"), machines)


@frozen
class Partition:
    """A partition of an InfiniBand network."""

    id: str
    name: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Partition:
        """From the JSON of ``IBPartition``."""
        return cls(required(data, "id"), _text(data, "name"))


@frozen
class Network:
    """An InfiniBand network; ``room`` is how many machines of each type fit in now."""

    id: str
    location: str
    room: Mapping[str, int] = field(hash=False)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Network:
        """From the JSON of ``IBNetwork``."""
        rows = [row for row in data.get("capacities") or () if isinstance(row, dict)]
        return cls(required(data, "id"), _text(data, "location"), {_text(r, "slice_type"): _number(r, "quantity") for r in rows})


@frozen
class Operation:
    """An asynchronous operation of the vendor.

    Attributes:
        resource: id of the thing that it creates or deletes; empty until the vendor names it.
        code, message: why it failed.
    """

    id: str
    state: str
    resource: str = ""
    code: str = ""
    message: str = ""

    @classmethod
    def read(cls, data: Any) -> Operation:
        """From the JSON of ``Operation``, whose metadata and result have no declared shape."""
        about, result = _object(data, "metadata"), _object(data, "result")
        resource = _text(about, "id") or _text(result, "id")
        return cls(
            required(data, "operation_id"), required(data, "state"), resource, _text(result, "code"), _text(result, "message")
        )

    @property
    def failed(self) -> bool:
        """Whether it ended without success."""
        return self.state == "FAILED"

    @property
    def running(self) -> bool:
        """Whether it may still take effect."""
        return self.state == "IN_PROGRESS"


def _object(data: Any, key: str) -> Any:
    value = data.get(key) if isinstance(data, dict) else None
    if isinstance(value, str):
        # The API does not declare its type, and text that contains JSON has been seen.
        try:
            return json.loads(value)
        except ValueError:
            return {"message": value}
    return value


# --- names ------------------------------------------------------------------------------------------------------------


@frozen
class Stamp:
    """The owner of a thing, and the node and attempt that it was created for."""

    owner: str
    token: str


def name_for(owner: str, token: str, part: str = "") -> str:
    """The name of a machine, or of a ``part`` of it (``disk``, ``ib``).

    Raises:
        ConfigError: owner or token would make an invalid name, so that nobody could find the machine again.
    """
    for what, value in (("owner", owner), ("token", token)):
        if not _PART.fullmatch(value):
            raise ConfigError(
                f"the {what} {value!r} cannot be part of a machine's name",
                provider="crusoe",
                hint="use 1 to 24 lower-case letters and digits",
            )
    return f"lepton-{owner}-{token}" + (f"-{part}" if part else "")


def read_name(name: str) -> Stamp | None:
    """Owner and token in a name; ``None`` if it is not one of ours."""
    match = _NAME.fullmatch(name)
    return Stamp(match[1], match[2]) if match else None
