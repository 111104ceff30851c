"""The double's cloud: what each call of the API does."""

from __future__ import annotations

import base64
import threading
import uuid
from typing import Any

from attrs import Factory, define

from lepton_lambda.double.account import Account, ApiKey, Machine, unauthorised
from lepton_lambda.double.bodies import check_key, check_launch, check_terminate
from lepton_lambda.double.refusals import Reply, refused
from lepton_lambda.double.shop import REGIONS, Sold, shop
from lepton_lambda.double.vendortime import VendorTime
from lepton_sdk.testing import SSHMachines

__all__ = ["Cloud", "Settings"]

# How long a terminated instance is still shown.
_REMEMBERED = 3600.0


@define
class Settings:
    """How the cloud behaves; all of it can be changed while it runs.

    Attributes:
        pace, launch_pace: seconds between two requests, and between two launches, of one key; 0 for no limit.
        boot, end: seconds until a machine is active, and until a terminated one is gone.
        hidden: seconds for which a new machine is missing from every answer.
        deny: launches are refused for want of capacity, whatever the listing says.
    """

    pace: float = 1.0
    launch_pace: float = 12.0
    boot: float = 2.0
    end: float = 1.0
    hidden: float = 0.0
    deny: bool = False


@define
class Cloud:
    """Everything behind one address. Calls come in one at a time, under `lock`."""

    machines: SSHMachines
    settings: Settings = Factory(Settings)
    time: VendorTime = Factory(VendorTime)
    shop: dict[str, Sold] = Factory(shop)
    accounts: dict[str, Account] = Factory(dict)
    keys: dict[str, ApiKey] = Factory(dict)
    lock: threading.Lock = Factory(threading.Lock)

    def add_key(self, key: str, account: str = "main", **rights: Any) -> None:
        """Let a key in."""
        self.keys[key] = ApiKey(self.accounts.setdefault(account, Account()), **rights)

    def answer(self, method: str, path: str, authorization: str, body: Any) -> Reply:
        """One request.

        Raises:
            Refused: it is answered with an error.
        """
        key = self._key(authorization)
        key.admit("", self.settings.pace, self.time.now())
        launching = path == "/instance-operations/launch"
        if launching:
            key.admit("launch", self.settings.launch_pace, self.time.now())
        key.check(launching=launching)
        if key.no_instances and path.startswith("/instances"):
            raise refused("global/forbidden", "This key may not see instances.")
        return Reply(200, {"data": self._data(key.account, method, path, body)})

    def _key(self, authorization: str) -> ApiKey:
        scheme, _, value = authorization.partition(" ")
        if scheme == "Basic":
            value = base64.b64decode(value, validate=False).decode(errors="replace").removesuffix(":")
        if scheme not in ("Bearer", "Basic") or value not in self.keys or self.keys[value].expired:
            raise unauthorised()
        return self.keys[value]

    def _data(self, account: Account, method: str, path: str, body: Any) -> Any:
        match method, path.strip("/").split("/"):
            case "GET", ["instance-types"]:
                return {name: sold.item() for name, sold in self.shop.items()}
            case "GET", ["instances"]:
                return [machine.show(self.time.now()) for machine in self._shown(account) if not self._is_over(machine)]
            case "GET", ["instances", name]:
                return self._machine(account, name).show(self.time.now())
            case "GET", ["ssh-keys"]:
                return account.ssh_keys
            case "POST", ["ssh-keys"]:
                return self._add_key(account, check_key(body))
            case "POST", ["instance-operations", "launch"]:
                return {"instance_ids": [self._launch(account, check_launch(body))]}
            case "POST", ["instance-operations", "terminate"]:
                return {"terminated_instances": self._terminate(account, check_terminate(body))}
        raise refused("global/not-found", f"There is no {method} {path}.")

    def _is_over(self, machine: Machine) -> bool:
        """Whether the list, which the API calls one of running instances, leaves it out."""
        return machine.state(self.time.now()) == "terminated"

    def _shown(self, account: Account) -> list[Machine]:
        now = self.time.now()
        return [
            machine
            for machine in account.machines.values()
            if machine.launched + self.settings.hidden <= now and (machine.ended is None or machine.ended + _REMEMBERED > now)
        ]

    def _machine(self, account: Account, name: str) -> Machine:
        for machine in self._shown(account):
            if machine.id == name:
                return machine
        raise refused("global/object-does-not-exist", f"Instance {name} does not exist.")

    def _add_key(self, account: Account, body: dict[str, Any]) -> dict[str, str]:
        account.ssh_keys.append({"id": uuid.uuid4().hex, "name": body["name"], "public_key": body["public_key"]})
        return account.ssh_keys[-1]

    def _launch(self, account: Account, body: dict[str, Any]) -> str:
        sold, place = self.shop.get(body["instance_type_name"]), body["region_name"]
        public = next((key["public_key"] for key in account.ssh_keys if key["name"] == body["ssh_key_names"][0]), None)
        unknown = (("type", sold), ("region", REGIONS.get(place)), ("SSH key", public))
        for what, found in (*unknown, ("image", "image" not in body)):
            if not found:
                raise refused("global/object-does-not-exist", f"This {what} does not exist.")
        self._check_beside(account, body)
        assert sold is not None
        assert public is not None
        if account.gpus() + sold.gpus > account.quota:
            raise refused("global/quota-exceeded", f"The quota is {account.quota} GPUs.")
        if self.settings.deny or sold.left.get(place, 0) < 1:
            raise refused("instance-operations/launch/insufficient-capacity", "Not enough capacity to fulfil launch request.")
        sold.left[place] -= 1
        return self._make(account, sold, body, public)

    def _check_beside(self, account: Account, body: dict[str, Any]) -> None:
        """What a launch names beside the machine must exist, in its region."""
        systems = [account.file_systems.get(name) for name in body.get("file_system_names", [])]
        rulesets = [account.rulesets.get(one["id"]) for one in body.get("firewall_rulesets", [])]
        for what, regions in (("file system", systems), ("firewall ruleset", rulesets)):
            if None in regions:
                raise refused("global/object-does-not-exist", f"This {what} does not exist.")
        if set(systems) - {body["region_name"]}:
            text = "The file system is not in the region of the instance."
            raise refused("instance-operations/launch/file-system-in-wrong-region", text)
        if set(rulesets) - {body["region_name"]}:
            raise refused("global/invalid-parameters", "The firewall ruleset is not in the region of the instance.")

    def _make(self, account: Account, sold: Sold, body: dict[str, Any], public: str) -> str:
        name, settings = uuid.uuid4().hex, self.settings
        machine = Machine(name, sold, body["region_name"], body, sold.cents, self.time.now(), settings.boot, settings.end)
        account.machines[name] = machine
        machine.address = self.machines.start(name, public, body.get("user_data", ""))
        return name

    def _terminate(self, account: Account, names: list[str]) -> list[dict[str, Any]]:
        chosen = [self._machine(account, name) for name in names]
        for machine in chosen:
            if machine.ended is None:
                machine.ended = self.time.now()
                machine.sold.left[machine.region] = machine.sold.left.get(machine.region, 0) + 1
                self.machines.stop(machine.id)
        return [machine.show(self.time.now()) for machine in chosen]
