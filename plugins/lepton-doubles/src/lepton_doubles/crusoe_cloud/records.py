"""The records of Crusoe Cloud's double: machines, disks, partitions and operations, and their JSON in the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import define

__all__ = ["Disk", "Machine", "Operation", "Partition", "adapter", "interface", "written"]


@define
class Machine:
    """A virtual machine; times in seconds since 1970.

    Attributes:
        partitions, disks: ids of its partitions and disks.
        ready: when it runs.
        ended, gone: when its deletion was requested, and when it is gone.
        sold_out: the create was accepted and its operation fails.
    """

    id: str
    name: str
    type: str
    location: str
    made: float
    ready: float
    partitions: list[str]
    disks: list[str]
    sold_out: bool = False
    ip: str = ""
    ended: float | None = None
    gone: float = 0.0

    def is_over(self, now: float) -> bool:
        """Whether it is gone."""
        return self.ended is not None and now >= self.gone


@define
class Disk:
    """A disk; a ``system`` disk ends with its machine."""

    id: str
    name: str
    location: str
    size: str
    made: float
    system: bool = False
    ended: bool = False

    def show(self, holders: list[str]) -> dict[str, Any]:
        """Its JSON in the API."""
        kind = "os" if self.system else "data"
        held = [{"vm_id": one, "attachment_type": kind, "mode": "read-write"} for one in holders]
        about = {"id": self.id, "name": self.name, "type": "persistent-ssd", "size": self.size, "location": self.location}
        times = {"created_at": written(self.made), "updated_at": written(self.made)}
        return about | times | {"block_size": 4096, "serial_number": self.id[:8], "attached_to": held}


@define
class Partition:
    """A partition of an InfiniBand network."""

    id: str
    name: str
    network: str

    def show(self) -> dict[str, Any]:
        """Its JSON in the API."""
        return {"id": self.id, "name": self.name, "ib_network_id": self.network}


@define
class Operation:
    """An asynchronous operation.

    Attributes:
        kind: ``create``, ``delete``, ``disk``.
        about: id of its object.
        done: when it ends, in seconds since 1970.
        failure: the error that it ends with, or empty.
    """

    id: str
    kind: str
    about: str
    done: float
    failure: dict[str, str] | None = None

    def show(self, now: float, *, names_it: bool = True) -> dict[str, Any]:
        """Its JSON in the API; ``names_it`` says whether it names its object yet."""
        over = now >= self.done
        return {
            "operation_id": self.id,
            "state": "IN_PROGRESS" if not over else "FAILED" if self.failure else "SUCCEEDED",
            "metadata": {"id": self.about, "type": self.kind} if names_it else {},
            "result": self.failure or {} if over else {},
            "started_at": "",
            "completed_at": written(self.done) if over else "",
        }


def adapter(partition: str) -> dict[str, str]:
    """The JSON of a machine's membership in a partition."""
    keys = ("type", "guid", "ib_network_id", "ib_partition_id", "transport_network_id", "transport_partition_id")
    return dict.fromkeys(keys, "") | {"type": "ib", "ib_partition_id": partition, "transport_partition_id": partition}


def interface(address: str) -> dict[str, Any]:
    """The JSON of a machine's address."""
    public = {"address": address, "id": "ip", "type": "dynamic"}
    ips = {"private_ipv4": {"address": "10.0.0.2"}, "public_ipv4": public}
    names = dict.fromkeys(("id", "name", "network", "subnet", "interface_type", "mac_address", "external_dns_name"), "")
    return names | {"ips": [ips]}


def written(moment: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
