"""The state behind the double's API: machines, disks, partitions, operations, stock, quotas and the bill."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from attrs import define, field

from lepton_crusoe.double.stock import IB_NETWORK, LOCATIONS, TYPES, hourly, quota_of, stock
from lepton_crusoe.double.things import Machine, Refused, Rules, Thing, adapter, interface, written
from lepton_sdk.testing import SSHMachines

__all__ = ["Cloud"]

_NEEDED = ("name", "type", "location", "ssh_public_key")
_ORGANIZATION = "00000000-0000-4000-8000-0000000000aa"
_CREATE_FIELDS = {*_NEEDED, "image", "disks", "host_channel_adapters", "startup_script"}
IMAGES = {"ubuntu22.04-nvidia-sxm-docker:latest", "ubuntu22.04:latest"}


@define
class Cloud:
    """One project's machines and what belongs to them. Not safe for threads: the server holds a lock around each call."""

    rules: Rules
    hosts: SSHMachines
    now: Callable[[], float]
    stock: dict[tuple[str, str], int] = field(factory=stock)
    promised: dict[tuple[str, str], int] = field(factory=dict)
    machines: dict[str, Machine] = field(factory=dict)
    disks: dict[str, Thing] = field(factory=dict)
    partitions: dict[str, Thing] = field(factory=dict)
    operations: dict[str, tuple[str, str]] = field(factory=dict)

    def project(self, name: str) -> dict[str, Any]:
        """The one project."""
        if name != self.rules.project:
            raise Refused(404, "not_found", f"no project {name}")
        kinds = ("instances", "disks", "snapshots", "images", "vpc_networks")
        about = {"id": name, "organization_id": _ORGANIZATION, "name": "double", "relation": "owner"}
        return about | {"resources": {kind: {"count": 0} for kind in kinds}}

    # --- the market ------------------------------------------------------------------------------------------------

    def capacities(self) -> dict[str, Any]:
        """What can be had; `promised` is what is said where it differs from the stock."""
        shown = self.stock | self.promised
        keys = sorted(shown)
        return {"items": [{"type": k, "location": at, "quantity": shown[k, at], "quota_type": quota_of(k)} for k, at in keys]}

    def quotas(self) -> dict[str, Any]:
        """What the project may take."""
        rows = []
        for name in sorted({quota_of(kind["product_name"]) for kind in TYPES}):
            used = self._used(name)
            row = {"programmatic_name": name, "max": self.rules.quota, "used": used, "available": self.rules.quota - used}
            rows.append(row | {"category": "compute", "type": "vm"})
        return {"quotas": rows}

    def _used(self, quota: str) -> int:
        return sum(quota_of(one.type) == quota for one in self.machines.values() if one.ended is None and not one.sold_out)

    def networks(self) -> dict[str, Any]:
        """The one InfiniBand network of each location."""
        rows = []
        for at in LOCATIONS:
            room = [{"slice_type": kind, "quantity": n} for (kind, where), n in sorted(self.stock.items()) if where == at]
            rows.append(
                {"id": f"{IB_NETWORK[:-4]}{LOCATIONS.index(at):04d}", "name": f"ib-{at}", "location": at, "capacities": room}
            )
        return {"items": rows}

    # --- machines --------------------------------------------------------------------------------------------------

    def create_machine(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a machine. One that the stock does not have fails later, in its operation, as clients of the vendor report."""
        self._check(body)
        if self._used(quota_of(body["type"])) >= self.rules.quota:
            raise Refused(400, "quota_exceeded", f"quota of {quota_of(body['type'])} is {self.rules.quota}")
        place, name = (body["type"], body["location"]), str(uuid4())
        adapters = [a.get("transport_partition_id") or a.get("ib_partition_id") for a in body.get("host_channel_adapters", [])]
        held = [disk["disk_id"] for disk in body.get("disks", [])]
        machine = Machine(name, body["name"], *place, body["ssh_public_key"], str(uuid4()), self.now(), adapters, held)
        machine.sold_out = self.stock[place] < 1
        self.machines[name] = machine
        self.operations[machine.operation] = ("create", name)
        if not machine.sold_out:
            self.stock[place] -= 1
            system = Thing(str(uuid4()), f"{machine.name}-os", self.now(), machine.location, "128GiB", system=True)
            self.disks[system.id] = system
            machine.disks.append(system.id)
            machine.ip = self.hosts.start(machine.id, machine.key, body.get("startup_script", ""))
        return {"operation": self.operation(machine.operation, first=True)}

    def _check(self, body: dict[str, Any]) -> None:
        missing = [key for key in _NEEDED if not isinstance(body.get(key), str) or not body[key]]
        if missing or set(body) - _CREATE_FIELDS:
            raise Refused(400, "bad_request", f"missing {missing}, unknown {sorted(set(body) - _CREATE_FIELDS)}")
        if len(body["name"]) > 63:
            raise Refused(400, "bad_request", f"name {body['name']!r} is longer than 63")
        if body["location"] not in LOCATIONS:
            raise Refused(400, "bad_request", f"unknown location {body['location']!r}")
        if (body["type"], body["location"]) not in self.stock:
            raise Refused(400, "bad_request", f"unknown type {body['type']!r}")
        if body.get("image", "ubuntu22.04:latest") not in IMAGES:
            raise Refused(400, "bad_request", f"unknown image {body['image']!r}")
        self._check_parts(body)

    def _check_parts(self, body: dict[str, Any]) -> None:
        for asked in body.get("host_channel_adapters", []):
            if (joined := asked.get("transport_partition_id")) not in self.partitions:
                raise Refused(400, "bad_request", f"unknown partition {joined!r}")
        if body["type"].rpartition(".")[0].endswith("-ib") and not body.get("host_channel_adapters"):
            raise Refused(400, "bad_request", "host_channel_adapters are needed by this product")
        if any(disk["disk_id"] not in self.disks for disk in body.get("disks", [])):
            raise Refused(400, "bad_request", "unknown disk")

    def list_machines(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of machines; ``limit`` at most 100, the token is the place in the list."""
        shown = [one for one in self.machines.values() if self._visible(one)]
        for key, value in (("ids", "id"), ("names", "name")):
            if key in query:
                shown = [one for one in shown if getattr(one, value) in query[key].split(",")]
        start, limit = int(query.get("next_token") or 0), min(int(query.get("limit", "20")), 100)
        page = {"items": [self._show(one) for one in shown[start : start + limit]]}
        return page | ({"next_page_token": str(start + limit)} if len(shown) > start + limit else {})

    def machine(self, name: str) -> dict[str, Any]:
        """One machine."""
        found = self.machines.get(name)
        if found is None or not self._visible(found):
            raise Refused(404, "not_found", f"no vm {name}")
        return self._show(found)

    def end_machine(self, name: str) -> dict[str, Any]:
        """Begin to end a machine."""
        found = self.machines.get(name)
        if found is None or not self._visible(found):
            raise Refused(404, "not_found", f"no vm {name}")
        if found.ended is None:
            found.off, found.ended = self._off(found), self.now()
            self.hosts.stop(name)
            self.stock[found.type, found.location] += 1
        operation = str(uuid4())
        self.operations[operation] = ("delete", name)
        return {"operation": self.operation(operation)}

    def _visible(self, one: Machine) -> bool:
        here = one.ended is None or self.now() < one.ended + self.rules.ending
        return here and not one.sold_out and self.now() >= one.made + self.rules.lag

    def _show(self, one: Machine) -> dict[str, Any]:
        state = self._state(one)
        running = state not in ("STATE_CREATING", "STATE_DELETING")
        times = {"created_at": written(one.made), "updated_at": written(one.made)}
        about = {"id": one.id, "name": one.name, "type": one.type, "location": one.location, "state": state, **times}
        adapters = [adapter(partition) for partition in one.partitions]
        interfaces = [interface(one.ip)] if running else []
        parts = {"disks": [], "host_channel_adapters": adapters, "network_interfaces": interfaces}
        return (
            about | parts | {"project_id": self.rules.project, "maintenance_policy": "unspecified", "billing_type": "On-demand"}
        )

    def _state(self, one: Machine) -> str:
        if one.ended is not None:
            return "STATE_DELETING"
        if self.now() < one.made + self.rules.boot:
            return "STATE_CREATING"
        return "STATE_RUNNING" if self._off(one) is None else "STATE_SHUTOFF"

    def _off(self, one: Machine) -> float | None:
        """When it stopped by itself, where that counts."""
        since = self.hosts.off_since(one.id)
        return since.timestamp() if since is not None and self.rules.power_off == "ends" else None

    def operation(self, name: str, *, first: bool = False) -> dict[str, Any]:
        """How an operation stands."""
        if name not in self.operations:
            raise Refused(404, "not_found", f"no operation {name}")
        kind, about = self.operations[name]
        state, done, result = self._progress(kind, about)
        metadata = {} if first and self.rules.late_id else {"id": about, "type": kind}
        ended = written(done) if state != "IN_PROGRESS" else ""
        return {
            "operation_id": name,
            "state": state,
            "metadata": metadata,
            "result": result,
            "started_at": "",
            "completed_at": ended,
        }

    def _progress(self, kind: str, about: str) -> tuple[str, float, dict[str, str]]:
        machine = self.machines.get(about)
        if machine is None:
            return "SUCCEEDED", self.now(), {}
        done = machine.made + self.rules.boot if kind == "create" else (machine.ended or 0.0) + self.rules.ending
        if self.now() < done:
            return "IN_PROGRESS", done, {}
        if kind == "create" and machine.sold_out:
            return "FAILED", done, {"code": "out_of_stock", "message": f"{machine.type} is out of stock in {machine.location}"}
        return "SUCCEEDED", done, {}

    # --- disks and partitions --------------------------------------------------------------------------------------

    def create_disk(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a disk."""
        if set(body) - {"name", "location", "size", "type"} or body.get("location") not in LOCATIONS:
            raise Refused(400, "bad_request", f"a field is unknown or the location is: {sorted(body)}")
        disk = Thing(str(uuid4()), body["name"], self.now(), body["location"], body["size"])
        self.disks[disk.id] = disk
        operation = str(uuid4())
        self.operations[operation] = ("disk", disk.id)
        return {"operation": self.operation(operation)}

    def list_disks(self) -> dict[str, Any]:
        """All disks."""
        return {"items": [self._show_disk(disk) for disk in self.disks.values() if self._has(disk)]}

    def _has(self, thing: Thing) -> bool:
        if thing.system and thing.ended is None and not self._holders(thing.id):
            # A system disk ends with its machine.
            thing.ended = self.now()
        return thing.ended is None

    def _holders(self, disk: str) -> list[str]:
        return [one.id for one in self.machines.values() if disk in one.disks and (self._visible(one) or one.ended is None)]

    def _show_disk(self, disk: Thing) -> dict[str, Any]:
        kind = "os" if disk.system else "data"
        held = [{"vm_id": one, "attachment_type": kind, "mode": "read-write"} for one in self._holders(disk.id)]
        about = {"id": disk.id, "name": disk.name, "type": "persistent-ssd", "size": disk.size, "location": disk.location}
        times = {"created_at": written(disk.made), "updated_at": written(disk.made)}
        return about | times | {"block_size": 4096, "serial_number": disk.id[:8], "attached_to": held}

    def end_disk(self, name: str) -> dict[str, Any]:
        """Delete a disk that no machine holds."""
        disk = self.disks.get(name)
        if disk is None or not self._has(disk):
            raise Refused(404, "not_found", f"no disk {name}")
        if self._holders(name):
            raise Refused(400, "bad_request", f"disk {name} is attached")
        disk.ended = self.now()
        operation = str(uuid4())
        self.operations[operation] = ("disk", name)
        return {"operation": self.operation(operation)}

    def create_partition(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a partition."""
        if set(body) != {"name", "ib_network_id"} or body["ib_network_id"] not in {one["id"] for one in self.networks()["items"]}:
            raise Refused(400, "bad_request", "unknown InfiniBand network")
        one = Thing(str(uuid4()), body["name"], self.now(), body["ib_network_id"])
        self.partitions[one.id] = one
        return one.partition()

    def list_partitions(self) -> dict[str, Any]:
        """All partitions."""
        return {"items": [one.partition() for one in self.partitions.values() if one.ended is None]}

    def end_partition(self, name: str) -> None:
        """Delete a partition that no machine has joined."""
        one = self.partitions.get(name)
        if one is None or one.ended is not None:
            raise Refused(404, "not_found", f"no partition {name}")
        if any(name in machine.partitions and self._visible(machine) for machine in self.machines.values()):
            raise Refused(400, "bad_request", f"partition {name} is in use")
        one.ended = self.now()

    # --- the bill --------------------------------------------------------------------------------------------------

    def bill(self) -> dict[str, Any]:
        """Each started minute of each machine, ``until`` it ended or was powered off; what is still billed is ``open``."""
        rows = []
        total = 0.0
        for one in self.machines.values():
            until = self._off(one) or one.off or one.ended
            minutes = 0 if one.sold_out else max(1, math.ceil(((until or self.now()) - one.made) / 60))
            amount = round(minutes * hourly(one.type) / 60, 4)
            rows.append({"id": one.id, "name": one.name, "minutes": minutes, "amount": amount, "until": until})
            total += amount
        billed = (one for one in self.machines.values() if one.ended is None and not one.sold_out)
        machines = [one.name for one in billed if self._off(one) is None]
        things: list[Thing] = [*self.disks.values(), *self.partitions.values()]
        still = [thing.name for thing in things if self._has(thing)]
        return {"rows": rows, "total": round(total, 4), "open": sorted(machines + still)}
