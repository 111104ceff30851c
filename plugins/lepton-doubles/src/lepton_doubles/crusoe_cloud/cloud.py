"""Crusoe Cloud's double: the calls of the API, and authorization."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from lepton_doubles.crusoe_cloud.calls import CREATE_MACHINE
from lepton_doubles.crusoe_cloud.catalog import LOCATIONS, TYPES, hourly, quota_of
from lepton_doubles.crusoe_cloud.parts import IMAGES, MachineParts
from lepton_doubles.crusoe_cloud.records import Machine, Operation, adapter, interface, written
from lepton_doubles.crusoe_cloud.signature import why_refused
from lepton_sdk.testing.doubles import Refused, Request, route

__all__ = ["CrusoeDouble"]

_ORGANIZATION = "00000000-0000-4000-8000-0000000000aa"
_INSTANCES = "/compute/vms/instances"
_LONGEST_PAGE = 100


class CrusoeDouble(MachineParts):
    """One project behind one address."""

    prefix = "/v1"

    # --- who is let in ----------------------------------------------------------------------------------------------

    def authorize(self, request: Request) -> None:
        """Check the signature, the rate limit, and the key's rights."""
        keys = {} if self.settings.expired else self.keys
        said = request.headers.get("authorization", ""), request.headers.get("x-crusoe-timestamp", "")
        now = datetime.fromtimestamp(self.now(), UTC)
        if why := why_refused(keys, request.method, request.target, *said, now):
            raise Refused(401, "bad_credential", why)
        often = self.settings.per_second
        if often < 1 or not self.pace.admit("", 1 / often, self.now(), early=often - 1):
            raise Refused(429, "too_many_requests", "slow down")
        if self.settings.read_only and request.method != "GET":
            raise Refused(403, "unauthorized", "this key may only read")

    def locate(self, request: Request) -> str:
        """The path within the project, for calls about one."""
        local = super().locate(request)
        if match := re.match(r"/projects/([^/]+)", local):
            self._check_project(match[1])
            return local[match.end() :]
        return local

    def _check_project(self, name: str) -> None:
        if name != self.project_id:
            raise Refused(404, "not_found", f"no project {name}")

    @route("GET", "/organizations/projects/{name}")
    def project(self, request: Request, name: str) -> Any:
        """The one project."""
        self._check_project(name)
        kinds = ("instances", "disks", "snapshots", "images", "vpc_networks")
        about = {"id": name, "organization_id": _ORGANIZATION, "name": "double", "relation": "owner"}
        return about | {"resources": {kind: {"count": 0} for kind in kinds}}

    @route("GET", "/users/identities")
    def identity(self, request: Request) -> Any:
        """The key's user and role."""
        role = "project-reader" if self.settings.read_only else "project-editor"
        scope = {"scope_type": "project", "scope_object_id": self.project_id}
        binding = {"id": "binding", "customer_id": "user", "role_id": role, "role_name": role, **scope}
        return {"identity": {"id": "user", "email": "user@example.org", "name": "user", "role": role, "role_bindings": [binding]}}

    # --- the market -------------------------------------------------------------------------------------------------

    @route("GET", "/locations")
    def locations(self, request: Request) -> Any:
        """Where machines can be."""
        return {"items": LOCATIONS}

    @route("GET", "/compute/vms/types")
    def types(self, request: Request) -> Any:
        """The instance types."""
        return {"items": TYPES}

    @route("GET", "/capacities")
    def capacities(self, request: Request) -> Any:
        """The available machines, as the listing shows them."""
        rows = [
            {"type": kind, "location": at, "quantity": self.stock.listed(kind, at), "quota_type": quota_of(kind)}
            for kind, at in self.stock.places()
        ]
        return {"items": rows}

    @route("GET", "/quotas")
    def quotas(self, request: Request) -> Any:
        """The project's quotas."""
        rows, most = [], self.settings.quota
        for name in sorted({quota_of(kind["product_name"]) for kind in TYPES}):
            used = self._used(name)
            row = {"programmatic_name": name, "max": most, "used": used, "available": most - used}
            rows.append(row | {"category": "compute", "type": "vm"})
        return {"quotas": rows}

    def _used(self, quota: str) -> int:
        held = (one for one in self.vms.values() if one.ended is None and not one.sold_out)
        return sum(quota_of(one.type) == quota for one in held)

    # --- machines ---------------------------------------------------------------------------------------------------

    @route("POST", _INSTANCES, body=CREATE_MACHINE)
    def create_machine(self, request: Request) -> Any:
        """Create a machine. Without stock it fails later, in its operation, as clients of the vendor report."""
        body = request.body
        self._check(body)
        if self._used(quota_of(body["type"])) >= self.settings.quota:
            raise Refused(400, "quota_exceeded", f"quota of {quota_of(body['type'])} is {self.settings.quota}")
        machine = self._new_machine(body)
        if self.stock.take(machine.type, machine.location):
            self._rent(machine, body)
            return {"operation": self._begin("create", machine.id, machine.ready, names_it=not self.settings.late_id)}
        machine.sold_out = True
        failure = {"code": "out_of_stock", "message": f"{machine.type} is out of stock in {machine.location}"}
        return {"operation": self._begin("create", machine.id, machine.ready, failure, names_it=not self.settings.late_id)}

    def _new_machine(self, body: dict[str, Any]) -> Machine:
        joined = [asked["transport_partition_id"] for asked in body.get("host_channel_adapters", [])]
        held = [disk["disk_id"] for disk in body.get("disks", [])]
        now, place = self.now(), (body["type"], body["location"])
        machine = Machine(self.new_id(), body["name"], *place, now, now + self.settings.boot, joined, held)
        self.vms[machine.id] = machine
        return machine

    def _rent(self, machine: Machine, body: dict[str, Any]) -> None:
        self.ledger.begin(machine.id, name=machine.name, hourly=hourly(machine.type), since=machine.made)
        machine.disks.append(self._add_disk(f"{machine.name}-os", machine.location, "128GiB", system=True).id)
        machine.ip = self.machines.start(machine.id, body["ssh_public_key"], body.get("startup_script", ""))

    def _check(self, body: dict[str, Any]) -> None:
        kind, at = body["type"], body["location"]
        adapters = body.get("host_channel_adapters", [])
        if at not in LOCATIONS:
            raise self.bad_request(f"unknown location {at!r}")
        if not self.stock.sells(kind, at):
            raise self.bad_request(f"unknown type {kind!r}")
        if body.get("image", IMAGES[0]) not in IMAGES:
            raise self.bad_request(f"unknown image {body['image']!r}")
        for joined in (one["transport_partition_id"] for one in adapters):
            if joined not in self.partitions:
                raise self.bad_request(f"unknown partition {joined!r}")
        if quota_of(kind).endswith("-ib") and not adapters:
            raise self.bad_request("host_channel_adapters are needed by this product")
        if any(disk["disk_id"] not in self.disks for disk in body.get("disks", [])):
            raise self.bad_request("unknown disk")

    @route("GET", _INSTANCES, query=("ids", "names", "limit", "next_token"))
    def list_machines(self, request: Request) -> Any:
        """A page of machines; ``limit`` at most 100."""
        query = request.query
        shown = [one for one in self.vms.values() if self.is_visible(one)]
        for key, value in (("ids", "id"), ("names", "name")):
            if key in query:
                shown = [one for one in shown if getattr(one, value) in query[key].split(",")]
        limit = query.get("limit", "20")
        if not limit.isdecimal():
            raise self.bad_request(f"limit {limit!r} is no number")
        rows, following = self.page(shown, query.get("next_token", ""), min(int(limit), _LONGEST_PAGE))
        return {"items": [self._show(one) for one in rows]} | ({"next_page_token": following} if following else {})

    @route("GET", f"{_INSTANCES}/{{name}}")
    def machine(self, request: Request, name: str) -> Any:
        """One machine."""
        return self._show(self._machine(name))

    @route("DELETE", f"{_INSTANCES}/{{name}}")
    def end_machine(self, request: Request, name: str) -> Any:
        """Begin to delete a machine."""
        found = self._machine(name)
        if found.ended is None:
            found.ended, found.gone = self.now(), self.now() + self.settings.end
            self.ledger.end(name, found.ended)
            self.machines.stop(name)
            self.stock.give_back(found.type, found.location)
        return {"operation": self._begin("delete", name, found.gone)}

    def _machine(self, name: str) -> Machine:
        found = self.vms.get(name)
        if found is None or not self.is_visible(found):
            raise Refused(404, "not_found", f"no vm {name}")
        return found

    def _show(self, one: Machine) -> dict[str, Any]:
        state = self._state(one)
        running = state not in ("STATE_CREATING", "STATE_DELETING")
        times = {"created_at": written(one.made), "updated_at": written(one.made)}
        about = {"id": one.id, "name": one.name, "type": one.type, "location": one.location, "state": state, **times}
        adapters = [adapter(partition) for partition in one.partitions]
        interfaces = [interface(one.ip)] if running else []
        parts = {"disks": [], "host_channel_adapters": adapters, "network_interfaces": interfaces}
        terms = {"project_id": self.project_id, "maintenance_policy": "unspecified", "billing_type": "On-demand"}
        return about | parts | terms

    def _state(self, one: Machine) -> str:
        if one.ended is not None:
            return "STATE_DELETING"
        if self.now() < one.ready:
            return "STATE_CREATING"
        return "STATE_RUNNING" if self.ledger.charges[one.id].until is None else "STATE_SHUTOFF"

    @route("GET", f"{_INSTANCES}/operations/{{name}}")
    def operation(self, request: Request, name: str) -> Any:
        """The state of an operation."""
        if name not in self.operations:
            raise Refused(404, "not_found", f"no operation {name}")
        return self.operations[name].show(self.now())

    def _begin(
        self, kind: str, about: str, done: float, failure: dict[str, str] | None = None, *, names_it: bool = True
    ) -> dict[str, Any]:
        one = Operation(self.new_id(), kind, about, done, failure)
        self.operations[one.id] = one
        return one.show(self.now(), names_it=names_it)
