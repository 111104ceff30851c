"""The accounts of Lambda Cloud's double: keys, instances, SSH keys and quota."""

from __future__ import annotations

from typing import Any

from attrs import Factory, define

from lepton_doubles.lambda_cloud.catalog import InstanceType, region
from lepton_doubles.lambda_cloud.refusals import refused

__all__ = ["Account", "ApiKey", "Instance"]

# How long a terminated instance is still listed, in seconds.
_REMEMBERED = 3600.0


@define
class Instance:
    """An instance; times are seconds since 1970.

    Attributes:
        launched, active: when it was requested, and when it is active.
        ended, gone: when its termination was requested, and when it is gone.
        status: a forced status (``unhealthy``, ``preempted``); empty for the status that follows from time.
    """

    id: str
    type: InstanceType
    region: str
    request: dict[str, Any]
    cents: int
    launched: float
    active: float
    address: str = ""
    ended: float | None = None
    gone: float = 0.0
    status: str = ""

    def state(self, now: float) -> str:
        """Its status, one of the API's six."""
        if self.ended is not None:
            return "terminated" if now >= self.gone else "terminating"
        return self.status or ("active" if now >= self.active else "booting")

    def is_forgotten(self, now: float) -> bool:
        """Whether it ended so long ago that it is no longer listed."""
        return self.ended is not None and self.ended + _REMEMBERED <= now

    def show(self, now: float) -> dict[str, Any]:
        """Its JSON in the API."""
        state, leaving = self.state(now), self.ended is not None
        action = {"available": state == "active"} | ({"reason_code": "vm-is-terminating"} if leaving else {})
        shown: dict[str, Any] = {
            "id": self.id,
            "status": state,
            "ssh_key_names": self.request["ssh_key_names"],
            "file_system_names": self.request.get("file_system_names", []),
            "region": region(self.region),
            "instance_type": self.type.show() | {"price_cents_per_hour": self.cents},
            "actions": dict.fromkeys(("migrate", "rebuild", "restart", "cold_reboot", "terminate"), action),
            "tags": self.request.get("tags", []),
        }
        if "name" in self.request:
            shown["name"] = self.request["name"]
        if state not in ("booting", "terminated"):
            shown |= {"ip": self.address, "private_ip": "10.0.0.2", "hostname": self.address.replace(".", "-")}
        return shown


@define
class Account:
    """The property of one customer; file systems (by name) and firewall rulesets (by id) with their region."""

    quota: int = 32
    file_systems: dict[str, str] = Factory(dict)
    rulesets: dict[str, str] = Factory(dict)
    instances: dict[str, Instance] = Factory(dict)
    ssh_keys: list[dict[str, str]] = Factory(list)

    def gpus(self) -> int:
        """How many GPUs it holds."""
        return sum(instance.type.gpus for instance in self.instances.values() if instance.ended is None)


@define
class ApiKey:
    """A key and its rights.

    Attributes:
        trouble: the code that calls are refused with: ``global/account-inactive`` or ``global/invalid-address``.
        no_instances: the key may not see instances.
        expired: it is refused like an unknown one.
    """

    value: str
    account: Account
    trouble: str = ""
    no_instances: bool = False
    expired: bool = False

    def check(self, path: str, *, launching: bool) -> None:
        """Refuse calls without rights; a wrong billing address blocks only launches.

        Raises:
            Refused: 403.
        """
        if self.trouble and (launching or self.trouble != "global/invalid-address"):
            raise refused(self.trouble, "The account may not do this.")
        if self.no_instances and path.startswith("/instances"):
            raise refused("global/forbidden", "This key may not see instances.")
