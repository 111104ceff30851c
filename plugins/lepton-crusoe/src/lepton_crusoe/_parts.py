"""Disks and InfiniBand partitions: the parts that a machine needs, billed and released separately."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lepton_crusoe._api import CrusoeApi, failure
from lepton_crusoe._models import Disk, Machine, Partition, name_for, read_name
from lepton_sdk.spi import Clock, Launch, NoCapacity, Node, NodeState, Offer, OutcomeUnknown, Unavailable

__all__ = ["Parts"]

_DISK_SECONDS, _LOOK_AGAIN = 120.0, 2.0

Thing = TypeVar("Thing", Disk, Partition)


class Parts:
    """Creates and deletes the parts of machines in one project.

    Args:
        data_disk_gib: size of the disk of each machine; 0 for none.
        partition: id of the user's own partition, which is joined and never deleted; empty to create one.
    """

    def __init__(self, api: CrusoeApi, clock: Clock, data_disk_gib: int, partition: str) -> None:
        self._api = api
        self._clock = clock
        self._gib = data_disk_gib
        self._partition = partition

    # --- making ----------------------------------------------------------------------------------------------------

    async def make(self, offer: Offer, launch: Launch, partition: str = "") -> dict[str, Any]:
        """The fields of the create request for the machine's parts; each part is announced before it is created.

        Args:
            partition: the partition that another node of the group created.
        """
        fields: dict[str, Any] = {}
        if self._gib:
            disk = await self._disk(offer, launch)
            fields["disks"] = [{"disk_id": disk.id, "mode": "read-write", "attachment_type": "data"}]
        if offer.instance_type.rpartition(".")[0].endswith("-ib"):
            joined = partition or self._partition or (await self._fabric(offer, launch)).id
            fields["host_channel_adapters"] = [{"transport_partition_id": joined}]
        return fields

    async def _disk(self, offer: Offer, launch: Launch) -> Disk:
        name = name_for(launch.owner, launch.token, "disk")
        await launch.announce("disk", name)
        try:
            operation = await self._api.create_disk(name, offer.region, self._gib)
            if operation.failed:
                raise failure(operation.code, operation.message, operation.id)
        except OutcomeUnknown:
            pass  # it has one name, so looking for it settles what became of the call
        return await self._appears(name, self._api.disks)

    async def _fabric(self, offer: Offer, launch: Launch) -> Partition:
        networks = [
            one for one in await self._api.networks() if one.location == offer.region and one.room.get(offer.instance_type)
        ]
        if not networks:
            text = f"no InfiniBand network of {offer.region} has room for {offer.instance_type}"
            raise NoCapacity(text, provider="crusoe")
        name = name_for(launch.owner, launch.token, "ib")
        await launch.announce("network", name)
        try:
            return await self._api.create_partition(name, networks[0].id)
        except OutcomeUnknown:
            return await self._appears(name, self._api.partitions)

    async def _appears(self, name: str, listed: Callable[[], Awaitable[list[Thing]]]) -> Thing:
        give_up = self._clock.monotonic() + _DISK_SECONDS
        while True:
            found = next((thing for thing in await listed() if thing.name == name), None)
            if found is not None:
                return found
            if self._clock.monotonic() > give_up:
                raise Unavailable(f"{name} did not appear within {_DISK_SECONDS:.0f} seconds", provider="crusoe")
            await self._clock.sleep(_LOOK_AGAIN)

    # --- ending ----------------------------------------------------------------------------------------------------

    async def end(self, owner: str, token: str) -> str:
        """Delete the unused parts of a token; return a part that still exists, or ``None``."""
        disks = [disk for disk in await self._api.disks() if _is_of(disk.name, owner, token)]
        left = [await self._end_disk(disk) for disk in disks]
        ours = [one for one in await self._api.partitions() if _is_of(one.name, owner, token)]
        machines = await self._api.machines() if ours else []
        for partition in ours:
            # The partition is deleted with the last machine of its group, not before.
            if not _held(partition, machines):
                await self._api.delete_partition(partition.id)
        return ", ".join(filter(None, left))

    async def end_group(self, partition: str) -> None:
        """Delete a partition of ours when no machine is left in it, whichever node of the group created it."""
        ours = [one for one in await self._api.partitions() if one.id == partition and read_name(one.name)]
        for one in ours:
            if not _held(one, await self._api.machines()):
                await self._api.delete_partition(one.id)

    async def end_one(self, node: Node) -> Node:
        """Release one disk or partition. A part in use is released with its machine."""
        if node.kind == "disk":
            disk = next((one for one in await self._api.disks() if one.id == node.id), None)
            left = await self._end_disk(disk) if disk else ""
        else:
            partition = next((one for one in await self._api.partitions() if one.id == node.id), None)
            left = _held(partition, await self._api.machines()) if partition else ""
            if partition and not left:
                await self._api.delete_partition(partition.id)
        return node.with_state(NodeState.RELEASING if left else NodeState.GONE, left)

    async def _end_disk(self, disk: Disk) -> str:
        if disk.machines:
            return f"{disk.name} is held by machine {', '.join(disk.machines)} and goes with it"
        operation = await self._api.delete_disk(disk.id)
        if operation is not None and operation.failed:
            raise failure(operation.code, operation.message, operation.id)
        return f"{disk.name} is being deleted" if operation is not None and operation.running else ""


def _is_of(name: str, owner: str, token: str) -> bool:
    stamp = read_name(name)
    return stamp is not None and (stamp.owner, stamp.token) == (owner, token)


def _held(partition: Partition, machines: list[Machine]) -> str:
    held = [one.id for one in machines if partition.id in one.partitions and one.state != "STATE_DELETED"]
    return f"{partition.name} is held by machine {', '.join(held)} and goes with it" if held else ""
