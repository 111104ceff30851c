"""Disks, partitions and settings of Crusoe Cloud's double, and the changes that happen by themselves."""

from __future__ import annotations

from typing import Any

from attrs import define

from lepton_doubles.crusoe_cloud.calls import CREATE_DISK, CREATE_PARTITION
from lepton_doubles.crusoe_cloud.catalog import LOCATIONS, network_of, stock
from lepton_doubles.crusoe_cloud.records import Disk, Machine, Operation, Partition
from lepton_sdk.testing.doubles import Double, Ledger, Refused, Request, Settings, SSHMachines, route

__all__ = ["IMAGES", "CrusoeSettings", "MachineParts"]

IMAGES = ("ubuntu22.04:latest", "ubuntu22.04-nvidia-sxm-docker:latest")


@define
class CrusoeSettings(Settings):
    """How the double behaves.

    Attributes:
        quota: machines of each family that the project may have.
        late_id: the create's first answer names no machine yet.
        power_off: what powering off from inside does to the bill: ``ends`` or ``keeps``.
        per_second: calls allowed within a second; the vendor publishes no limit.
        read_only: the key may only read.
        expired: the key is refused like an unknown one.
    """

    quota: int = 20
    late_id: bool = False
    power_off: str = "ends"
    per_second: int = 10
    read_only: bool = False
    expired: bool = False


class MachineParts(Double):
    """Disks and partitions, which are created first and then attached to machines.

    Args:
        machines: what it rents out.
        settings: how it behaves.
        project: id of its one project.
        keys: access key id → secret key.
    """

    settings: CrusoeSettings

    def __init__(
        self,
        machines: SSHMachines | None = None,
        settings: CrusoeSettings | None = None,
        *,
        project: str = "00000000-0000-4000-8000-000000000001",
        keys: dict[str, str] | None = None,
    ) -> None:
        super().__init__(machines, settings=settings or CrusoeSettings(), stock=stock(), ledger=Ledger(least=1))
        self.project_id, self.keys = project, dict(keys or {})
        self.vms: dict[str, Machine] = {}
        self.disks: dict[str, Disk] = {}
        self.partitions: dict[str, Partition] = {}
        self.operations: dict[str, Operation] = {}

    def is_visible(self, one: Machine) -> bool:
        """Whether a machine is visible."""
        return not one.is_over(self.now()) and not one.sold_out and self.is_listed(one.made)

    def refresh(self) -> None:
        """Update the state: a machine may have powered itself off; a system disk ends with its machine."""
        for one in self.vms.values():
            if one.ended is None and not one.sold_out:
                off = self.machines.off_since(one.id) if self.settings.power_off == "ends" else None
                self.ledger.charges[one.id].until = None if off is None else self.clock.translate(off)
        for disk in self.disks.values():
            if disk.system and not disk.ended and not self._holders(disk):
                self._end_disk(disk)

    # --- disks ------------------------------------------------------------------------------------------------------

    @route("POST", "/storage/disks", body=CREATE_DISK)
    def create_disk(self, request: Request) -> Any:
        """Create a disk."""
        body = request.body
        if body["location"] not in LOCATIONS:
            raise self.bad_request(f"unknown location {body['location']!r}")
        disk = self._add_disk(body["name"], body["location"], body["size"])
        return {"operation": self._done_at_once(disk.id)}

    def _add_disk(self, name: str, location: str, size: str, *, system: bool = False) -> Disk:
        disk = Disk(self.new_id(), name, location, size, self.now(), system)
        self.disks[disk.id] = disk
        self.ledger.begin(disk.id, name=name, kind="disk", since=disk.made)
        return disk

    def _done_at_once(self, disk: str) -> dict[str, Any]:
        one = Operation(self.new_id(), "disk", disk, self.now())
        self.operations[one.id] = one
        return one.show(self.now())

    @route("GET", "/storage/disks")
    def list_disks(self, request: Request) -> Any:
        """All disks."""
        return {"items": [disk.show(self._holders(disk)) for disk in self.disks.values() if not disk.ended]}

    def _holders(self, disk: Disk) -> list[str]:
        return [one.id for one in self.vms.values() if disk.id in one.disks and (self.is_visible(one) or one.ended is None)]

    @route("DELETE", "/storage/disks/{name}")
    def end_disk(self, request: Request, name: str) -> Any:
        """Delete a disk that no machine uses."""
        disk = self.disks.get(name)
        if disk is None or disk.ended:
            raise Refused(404, "not_found", f"no disk {name}")
        if self._holders(disk):
            raise self.bad_request(f"disk {name} is attached")
        self._end_disk(disk)
        return {"operation": self._done_at_once(name)}

    def _end_disk(self, disk: Disk) -> None:
        disk.ended = True
        self.ledger.end(disk.id, self.now())

    # --- partitions -------------------------------------------------------------------------------------------------

    @route("GET", "/networking/ib-networks")
    def networks(self, request: Request) -> Any:
        """The one InfiniBand network of each location."""
        rows = []
        for at in LOCATIONS:
            room = [{"slice_type": k, "quantity": self.stock.left(k, where)} for k, where in self.stock.places() if where == at]
            rows.append({"id": network_of(at), "name": f"ib-{at}", "location": at, "capacities": room})
        return {"items": rows}

    @route("POST", "/networking/ib-partitions", body=CREATE_PARTITION)
    def create_partition(self, request: Request) -> Any:
        """Create a partition."""
        if request.body["ib_network_id"] not in map(network_of, LOCATIONS):
            raise self.bad_request("unknown InfiniBand network")
        one = Partition(self.new_id(), request.body["name"], request.body["ib_network_id"])
        self.partitions[one.id] = one
        self.ledger.begin(one.id, name=one.name, kind="network", since=self.now())
        return one.show()

    @route("GET", "/networking/ib-partitions")
    def list_partitions(self, request: Request) -> Any:
        """All partitions."""
        return {"items": [one.show() for one in self.partitions.values()]}

    @route("DELETE", "/networking/ib-partitions/{name}")
    def end_partition(self, request: Request, name: str) -> None:
        """Delete a partition that no machine has joined."""
        if name not in self.partitions:
            raise Refused(404, "not_found", f"no partition {name}")
        if any(name in machine.partitions and self.is_visible(machine) for machine in self.vms.values()):
            raise self.bad_request(f"partition {name} is in use")
        del self.partitions[name]
        self.ledger.end(name, self.now())
