"""The double's accounts: keys, machines, SSH keys, quota, pace and bill."""

from __future__ import annotations

import math
from typing import Any

from attrs import Factory, define

from lepton_lambda.double.refusals import Refused, refused
from lepton_lambda.double.shop import Sold, region

__all__ = ["Account", "ApiKey", "Machine"]

# After a call that was held up on its way, the next one seems early: so many intervals are let pass, on average none.
_SLACK = 0.5


@define
class Machine:
    """An instance.

    Attributes:
        launched: when it was asked for, as all times in the double's seconds.
        boots: seconds from then until it is active.
        ended: when its end was asked for.
        status: what was forced on it (``unhealthy``, ``preempted``); empty for what time makes of it.
    """

    id: str
    sold: Sold
    region: str
    request: dict[str, Any]
    cents: int
    launched: float
    boots: float
    ends: float
    address: str = ""
    ended: float | None = None
    status: str = ""

    def state(self, now: float) -> str:
        """One of the API's six."""
        if self.ended is not None:
            return "terminated" if now >= self.ended + self.ends else "terminating"
        return self.status or ("active" if now >= self.launched + self.boots else "booting")

    def cost(self, now: float) -> float:
        """Cents: whole minutes from the moment that it is active until its end is asked for."""
        began, until = self.launched + self.boots, now if self.ended is None else self.ended
        return round(math.ceil(max(0.0, until - began) / 60) * self.cents / 60, 2)

    def take_back(self, now: float) -> None:
        """End it as the vendor does when it cannot hand it over."""
        self.ended = now

    def show(self, now: float) -> dict[str, Any]:
        """As the API writes it."""
        state, leaving = self.state(now), self.ended is not None
        action = {"available": state == "active"} | ({"reason_code": "vm-is-terminating"} if leaving else {})
        shown: dict[str, Any] = {
            "id": self.id,
            "status": state,
            "ssh_key_names": self.request["ssh_key_names"],
            "file_system_names": self.request.get("file_system_names", []),
            "region": region(self.region),
            "instance_type": self.sold.type() | {"price_cents_per_hour": self.cents},
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
    """What belongs to one customer; of file systems (by name) and firewall rulesets (by id) their region."""

    quota: int = 32
    file_systems: dict[str, str] = Factory(dict)
    rulesets: dict[str, str] = Factory(dict)
    machines: dict[str, Machine] = Factory(dict)
    ssh_keys: list[dict[str, str]] = Factory(list)

    def gpus(self) -> int:
        """How many GPUs it holds."""
        return sum(machine.sold.gpus for machine in self.machines.values() if machine.ended is None)


@define
class ApiKey:
    """A key and what it may.

    Attributes:
        trouble: code with which calls are refused: ``global/account-inactive`` or ``global/invalid-address``.
        no_instances: the key may not see instances.
        expired: it is refused like one that never was.
    """

    account: Account
    trouble: str = ""
    no_instances: bool = False
    expired: bool = False
    due: dict[str, float] = Factory(dict)

    def admit(self, bucket: str, interval: float, now: float) -> None:
        """Refuse what comes too early.

        Raises:
            Refused: 429.
        """
        due = self.due.get(bucket, -math.inf)
        if now < due - interval * _SLACK:
            raise refused("global/rate-limited", f"More than one request in {interval:g} seconds.")
        self.due[bucket] = max(now, due) + interval

    def check(self, *, launching: bool) -> None:
        """Refuse what the account may not; a wrong billing address stands in the way of launches alone.

        Raises:
            Refused: 403.
        """
        if self.trouble and (launching or self.trouble != "global/invalid-address"):
            raise refused(self.trouble, "The account may not do this.")


def unauthorised() -> Refused:
    """What a wrong key gets."""
    return refused("global/invalid-api-key", "API key was invalid, expired, or deleted.")
