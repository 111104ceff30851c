"""What the double has: machines, disks, partitions, its rules, and how the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import define

__all__ = ["Machine", "Refused", "Rules", "Thing", "adapter", "interface", "written"]


class Refused(Exception):
    """A request that is answered with a status and the contract's error body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@define
class Rules:
    """How the double behaves.

    Attributes:
        boot, ending: seconds until a machine runs, and until it is gone.
        lag: seconds until a new machine is listed.
        quota: machines of each family that the project may have.
        late_id: the create's first answer names no machine yet.
        power_off: what becomes of a machine that is powered off from inside: it ``ends`` the bill, or ``keeps`` it.
    """

    project: str
    boot: float = 2.0
    ending: float = 1.0
    lag: float = 0.0
    quota: int = 20
    late_id: bool = False
    power_off: str = "ends"


@define
class Machine:
    """A virtual machine; times in seconds since 1970. ``off`` is when it had powered itself off by its end."""

    id: str
    name: str
    type: str
    location: str
    key: str
    operation: str
    made: float
    partitions: list[str]
    disks: list[str]
    ip: str = ""
    off: float | None = None
    ended: float | None = None
    sold_out: bool = False


@define
class Thing:
    """A disk or a partition."""

    id: str
    name: str
    made: float
    location: str = ""
    size: str = ""
    system: bool = False
    ended: float | None = None

    def partition(self) -> dict[str, Any]:
        """As the API writes a partition."""
        return {"id": self.id, "name": self.name, "ib_network_id": self.location}


def adapter(partition: str) -> dict[str, str]:
    """As the API writes a machine's place in a partition."""
    keys = ("type", "guid", "ib_network_id", "ib_partition_id", "transport_network_id", "transport_partition_id")
    return dict.fromkeys(keys, "") | {"type": "ib", "ib_partition_id": partition, "transport_partition_id": partition}


def interface(address: str) -> dict[str, Any]:
    """As the API writes a machine's address."""
    public = {"address": address, "id": "ip", "type": "dynamic"}
    ips = {"private_ipv4": {"address": "10.0.0.2"}, "public_ipv4": public}
    names = dict.fromkeys(("id", "name", "network", "subnet", "interface_type", "mac_address", "external_dns_name"), "")
    return names | {"ips": [ips]}


def written(moment: float) -> str:
    """A moment as the API writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
