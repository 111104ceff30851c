"""Lambda Cloud's double: what each call of the API does."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

from attrs import define

from lepton_doubles.lambda_cloud.account import Account, ApiKey, Instance
from lepton_doubles.lambda_cloud.calls import LAUNCH, NEW_KEY, TERMINATE
from lepton_doubles.lambda_cloud.catalog import REGIONS, InstanceType, catalog, region, stock
from lepton_doubles.lambda_cloud.refusals import refused
from lepton_sdk.testing.doubles import Double, Refused, Request, Settings, SSHMachines, lever, route, view

__all__ = ["LambdaDouble", "LambdaSettings"]

_LAUNCH = "/instance-operations/launch"


@define
class LambdaSettings(Settings):
    """How the double behaves.

    Attributes:
        pace, launch_pace: seconds between two requests, and between two launches, of one key; 0 for no limit.
        deny: launches are refused for lack of capacity, whatever the listing says.
    """

    pace: float = 1.0
    launch_pace: float = 12.0
    deny: bool = False


class LambdaDouble(Double):
    """Everything behind one address.

    Args:
        machines: what it rents out.
        settings: how it behaves.
        key: the API key of the account ``main``.
    """

    prefix = "/api/v1"
    settings: LambdaSettings

    def __init__(
        self, machines: SSHMachines | None = None, settings: LambdaSettings | None = None, key: str = "double-key"
    ) -> None:
        super().__init__(machines, settings=settings or LambdaSettings(), stock=stock())
        self._catalog = catalog()
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, ApiKey] = {}
        self.add_key(key)

    # --- who is let in, and how answers look ------------------------------------------------------------------------

    def authorize(self, request: Request) -> ApiKey:
        """The key of a request; checks its rate limit and its rights."""
        key, path = self._key(request.headers.get("authorization", "")), self.locate(request)
        launching = path == _LAUNCH
        self._keep_pace(key, "", self.settings.pace)
        if launching:
            self._keep_pace(key, "launch", self.settings.launch_pace)
        key.check(path, launching=launching)
        return key

    def _key(self, authorization: str) -> ApiKey:
        scheme, _, value = authorization.partition(" ")
        if scheme == "Basic":
            value = base64.b64decode(value, validate=False).decode(errors="replace").removesuffix(":")
        if scheme not in ("Bearer", "Basic") or value not in self._keys or self._keys[value].expired:
            raise refused("global/invalid-api-key", "API key was invalid, expired, or deleted.")
        return self._keys[value]

    def _keep_pace(self, key: ApiKey, bucket: str, interval: float) -> None:
        if not self.pace.admit(f"{bucket} {key.value}", interval, self.now()):
            raise refused("global/rate-limited", f"More than one request in {interval:g} seconds.")

    def write_answer(self, value: Any) -> Any:
        """Every answer is in ``data``."""
        return {"data": value}

    def write_refusal(self, refused: Refused) -> Any:
        """Every error is in ``error``."""
        code = "global/internal-error" if refused.code == "internal_error" else refused.code
        return {"error": {"code": code, "message": refused.message, "suggestion": "See the documentation of the double."}}

    def bad_request(self, message: str) -> Refused:
        """The API's code for a malformed request."""
        return refused("global/invalid-parameters", f"{message}.")

    def unknown(self, request: Request) -> Refused:
        """The API's code for an unknown call."""
        return refused("global/not-found", f"There is no {request.method} {request.path}.")

    # --- the API ----------------------------------------------------------------------------------------------------

    @route("GET", "/instance-types")
    def instance_types(self, request: Request) -> Any:
        """The types, and the regions with stock."""
        return {name: {"instance_type": kind.show()} | self._where(name) for name, kind in self._catalog.items()}

    def _where(self, name: str) -> dict[str, Any]:
        places = [place for kind, place in self.stock.places() if kind == name and self.stock.listed(kind, place) > 0]
        return {"regions_with_capacity_available": [region(place) for place in REGIONS if place in places]}

    @route("GET", "/instances")
    def running_instances(self, request: Request) -> Any:
        """All running instances, as the API calls them: ended ones are not listed."""
        now = self.now()
        shown = self._shown(request.caller.account)
        return [instance.show(now) for instance in shown if instance.state(now) != "terminated"]

    @route("GET", "/instances/{name}")
    def instance(self, request: Request, name: str) -> Any:
        """One instance, also for a while after its end."""
        return self._instance(request.caller.account, name).show(self.now())

    def _shown(self, account: Account) -> list[Instance]:
        now = self.now()
        return [one for one in account.instances.values() if self.is_listed(one.launched) and not one.is_forgotten(now)]

    def _instance(self, account: Account, name: str) -> Instance:
        for instance in self._shown(account):
            if instance.id == name:
                return instance
        raise refused("global/object-does-not-exist", f"Instance {name} does not exist.")

    @route("GET", "/ssh-keys")
    def ssh_keys(self, request: Request) -> Any:
        """The account's SSH keys."""
        return request.caller.account.ssh_keys

    @route("POST", "/ssh-keys", body=NEW_KEY)
    def add_ssh_key(self, request: Request) -> Any:
        """Add an SSH key."""
        key = {"id": self.new_id().replace("-", ""), **request.body}
        request.caller.account.ssh_keys.append(key)
        return key

    @route("POST", _LAUNCH, body=LAUNCH)
    def launch(self, request: Request) -> Any:
        """Launch one instance."""
        account, body = request.caller.account, request.body
        kind, place = self._catalog.get(body["instance_type_name"]), body["region_name"]
        public = next((key["public_key"] for key in account.ssh_keys if key["name"] == body["ssh_key_names"][0]), None)
        unknown = (("type", kind), ("region", REGIONS.get(place)), ("SSH key", public), ("image", "image" not in body))
        for what, found in unknown:
            if not found:
                raise refused("global/object-does-not-exist", f"This {what} does not exist.")
        assert kind is not None
        assert public is not None
        _check_parts(account, body)
        if account.gpus() + kind.gpus > account.quota:
            raise refused("global/quota-exceeded", f"The quota is {account.quota} GPUs.")
        if self.settings.deny or not self.stock.take(kind.name, place):
            raise refused("instance-operations/launch/insufficient-capacity", "Not enough capacity to fulfil launch request.")
        return {"instance_ids": [self._rent(account, kind, body, public)]}

    def _rent(self, account: Account, kind: InstanceType, body: dict[str, Any], public_key: str) -> str:
        now = self.now()
        one = Instance(self.new_id().replace("-", ""), kind, body["region_name"], body, kind.cents, now, now + self.settings.boot)
        account.instances[one.id] = one
        # Billing begins when the machine is active.
        self.ledger.begin(one.id, name=body.get("name", ""), hourly=Decimal(kind.cents) / 100, since=one.active)
        one.address = self.machines.start(one.id, public_key, body.get("user_data", ""))
        return one.id

    @route("POST", "/instance-operations/terminate", body=TERMINATE)
    def terminate(self, request: Request) -> Any:
        """Begin to terminate instances: all that are named, or none."""
        account = request.caller.account
        chosen = [self._instance(account, name) for name in request.body["instance_ids"]]
        for instance in chosen:
            if instance.ended is None:
                self._end(instance)
                self.stock.give_back(instance.type.name, instance.region)
                self.machines.stop(instance.id)
        return {"terminated_instances": [instance.show(self.now()) for instance in chosen]}

    def _end(self, instance: Instance) -> None:
        instance.ended, instance.gone = self.now(), self.now() + self.settings.end
        self.ledger.end(instance.id, instance.ended)

    # --- the control port -------------------------------------------------------------------------------------------

    @lever("/key")
    def add_key(self, key: str, account: str = "main", **rights: Any) -> None:
        """Add a key, or change its rights: trouble, no_instances, expired; see `ApiKey`."""
        self._keys[key] = ApiKey(key, self._accounts.setdefault(account, Account()), **rights)

    @lever("/price")
    def set_price(self, type: str, cents: int) -> None:  # noqa: A002 - the field's name
        """Set the price of a type, in US cents per hour."""
        self._catalog[type].cents = int(cents)

    @lever("/quota")
    def set_quota(self, account: str, gpus: int) -> None:
        """Set how many GPUs an account may hold."""
        self._accounts[account].quota = int(gpus)

    @lever("/file-system")
    def add_file_system(self, account: str, name: str, region: str) -> None:
        """Give an account a file system."""
        self._accounts[account].file_systems[name] = region

    @lever("/ruleset")
    def add_ruleset(self, account: str, id: str, region: str) -> None:  # noqa: A002 - the field's name
        """Give an account a firewall ruleset."""
        self._accounts[account].rulesets[id] = region

    @lever("/instance")
    def force_status(self, id: str, status: str) -> None:  # noqa: A002 - the field's name
        """Force a status on an instance: unhealthy, preempted; empty for the status that follows from time."""
        self._instances()[id].status = status

    @lever("/take-back")
    def take_back(self, id: str) -> None:  # noqa: A002 - the field's name
        """End an instance as the vendor does when it cannot deliver it."""
        self._end(self._instances()[id])

    @view("/instances")
    def show_instances(self) -> Any:
        """Every instance of every account."""
        return [instance.show(self.now()) for instance in self._instances().values()]

    def _instances(self) -> dict[str, Instance]:
        return {name: one for account in self._accounts.values() for name, one in account.instances.items()}


def _check_parts(account: Account, body: dict[str, Any]) -> None:
    """The other things that a launch names must exist, in its region."""
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
