"""The provider: Crusoe's virtual machines, one for each node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from attrs import evolve

from lepton_crusoe._api import CrusoeApi, failure, refusal
from lepton_crusoe._credentials import Signature, read_credentials
from lepton_crusoe._listing import Prices, Stock, child_node, node_of, offers_of, owned, type_named
from lepton_crusoe._models import Machine, Operation, Quota, name_for
from lepton_crusoe._parts import Parts
from lepton_crusoe.plugin import PROVIDER
from lepton_sdk.spi import (
    AuthError,
    ConfigError,
    Diagnosis,
    KeyPair,
    Launch,
    LeptonError,
    MarketError,
    Node,
    NodeState,
    Offer,
    OfferGone,
    OutcomeUnknown,
    ProviderContext,
    Resources,
    SSHAccess,
)

__all__ = ["CrusoeCloud", "create"]

# Usually the first answer has the id. If the vendor takes longer than this, `find` must settle the call.
_ID_SECONDS, _LOOK_AGAIN = 60.0, 2.0
_GROUP_SECONDS = 300.0
_LEAVING = frozenset({NodeState.RELEASING, NodeState.GONE})
_BOOTING = frozenset({NodeState.PENDING, NodeState.UNKNOWN})


def create(context: ProviderContext) -> CrusoeCloud:
    """The factory that the spec names.

    Raises:
        AuthError: one half of the key is missing or malformed.
        ConfigError: the project, a price or the size of the disk is wrong.
    """
    return CrusoeCloud(context)


class CrusoeCloud:
    """The six methods over one project."""

    def __init__(self, context: ProviderContext) -> None:
        self._config = cast("Mapping[str, Any]", context.config)
        self._clock = context.clock
        self._folder = context.cache_dir / "ssh"
        self._prices = Prices.read(self._config["prices"])
        if self._config["data_disk_gib"] < 0:
            size = self._config["data_disk_gib"]
            raise ConfigError(f"providers.crusoe.data_disk_gib: {size} is negative", hint="write 0 for no disk")
        credentials = read_credentials(context.config)
        signature = Signature(credentials.access_key_id, credentials.key, context.clock)
        client = context.http(base_url=str(self._config["base_url"]), auth=signature, classify=refusal)
        self._api = CrusoeApi(client, credentials.project)

    # --- the market ------------------------------------------------------------------------------------------------

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield every type in every location that the vendor counts; a type without count appears once, as sold out."""
        types, capacities, quotas = await asyncio.gather(self._api.types(), self._api.capacities(), self._quotas())
        stock = Stock({kind.name: kind for kind in types}, tuple(capacities), quotas)
        for offer in offers_of(stock, self._prices, self._clock.now()):
            yield offer

    async def _quotas(self) -> Mapping[str, Quota]:
        try:
            return {quota.name: quota for quota in await self._api.quotas()}
        except AuthError as error:
            # A key may see machines but not quotas; a bad key fails in the other two calls as well.
            if "answered 403" in error.message:
                return {}
            raise

    # --- a node's life ---------------------------------------------------------------------------------------------

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Create one machine whose name carries owner and token.

        Raises:
            OfferGone, NoCapacity, QuotaExceeded: it is not available; its parts are released.
            OutcomeUnknown: the answer did not come, or it names no machine.
        """
        return await self._acquire(offer, launch)

    async def _acquire(self, offer: Offer, launch: Launch, partition: str = "") -> Node:
        name = name_for(launch.owner, launch.token)
        if why := self._prices.still(type_named(offer.instance_type), offer.price):
            raise OfferGone(why, provider="crusoe", hint="plan again with lepton route --live")
        request = await self._request(name, offer, launch)
        try:
            request |= await self._parts(self._api).make(offer, launch, partition)
            operation = await self._api.create(request)
            if operation.failed:
                raise failure(operation.code, operation.message, operation.id)
            operation = await self._with_id(operation)
        except OutcomeUnknown:
            raise
        except LeptonError:
            # The create call created nothing, so delete its parts; `find` shows those that cannot be deleted now.
            with suppress(LeptonError):
                await self._undo(launch)
            raise
        return self._made(operation, offer, launch, request)

    async def _request(self, name: str, offer: Offer, launch: Launch) -> dict[str, Any]:
        key = await KeyPair("crusoe", self._folder, launch.owner).public()
        request = {"name": name, "type": offer.instance_type, "location": offer.region, "ssh_public_key": key}
        optional = {"image": self._config["image"], "startup_script": launch.startup_script}
        return request | {key: value for key, value in optional.items() if value}

    async def _with_id(self, operation: Operation) -> Operation:
        """Wait for the operation to name the machine.

        Raises:
            OutcomeUnknown: it does not within a minute, or it cannot be read any more.
        """
        give_up = self._clock.monotonic() + _ID_SECONDS
        while not operation.resource:
            if self._clock.monotonic() > give_up:
                raise OutcomeUnknown("the operation names no machine", provider="crusoe", request=operation.id)
            await self._clock.sleep(_LOOK_AGAIN)
            seen = await self._look(operation)
            if seen.failed:
                raise failure(seen.code, seen.message, seen.id)
            operation = seen
        return operation

    async def _look(self, operation: Operation) -> Operation:
        try:
            seen = await self._api.operation(operation.id)
        except LeptonError as error:
            text = f"the operation cannot be read: {error.message}"
            raise OutcomeUnknown(text, provider="crusoe", request=operation.id) from error
        if seen is None:
            raise OutcomeUnknown("the operation is not shown any more", provider="crusoe", request=operation.id)
        return seen

    def _made(self, operation: Operation, offer: Offer, launch: Launch, request: Mapping[str, Any]) -> Node:
        adapters = request.get("host_channel_adapters") or [{}]
        data = {"project": self._api.project, "operation": operation.id}
        return Node(
            provider="crusoe",
            id=operation.resource,
            token=launch.token,
            owner=launch.owner,
            state=NodeState.PENDING,
            instance_type=offer.instance_type,
            region=offer.region,
            price=self._prices.told(type_named(offer.instance_type)),
            since=self._clock.now(),
            provider_data=data | {"partition": adapters[0].get("transport_partition_id", "")},
        )

    async def _undo(self, launch: Launch) -> None:
        if self._config["data_disk_gib"] or not self._config["ib_partition"]:
            await self._parts(self._api).end(launch.owner, launch.token)

    async def acquire_group(self, offer: Offer, launches: Sequence[Launch]) -> Sequence[Node]:
        """Create one machine for each launch in one InfiniBand partition, all or none: release what was created before a refusal.

        Raises:
            OutcomeUnknown: an answer did not come, or a machine could not be released; ``find`` shows which.
        """
        nodes: list[Node] = []
        try:
            for launch in launches:
                nodes.append(await self._acquire(offer, launch, nodes[0].provider_data["partition"] if nodes else ""))
        except Exception as refused:
            await self._give_back(nodes, refused)
            raise
        return nodes

    async def _give_back(self, nodes: Sequence[Node], refused: Exception) -> None:
        give_up = self._clock.monotonic() + _GROUP_SECONDS
        left = list(nodes)
        while left := [node for node in left if (await self.release(node)).state is not NodeState.GONE]:
            if self._clock.monotonic() > give_up:
                text = f"{', '.join(node.id for node in left)} of a group that was refused are still being released"
                raise OutcomeUnknown(text, provider="crusoe") from refused
            await self._clock.sleep(PROVIDER.timings.poll)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return machines, disks and partitions whose names carry owner and token; reads the whole project.

        It does not use the API's ``names`` filter: if the vendor reads it differently, a machine would be hidden.
        """
        machines = await self._api.machines()
        names = owned([machine.name for machine in machines], owner, token)
        for machine in machines:
            if machine.name in names:
                yield self._node(machine, self._api.project)
        for node in await self._children(owner, token):
            yield node

    async def _children(self, owner: str, token: str | None) -> list[Node]:
        # A system disk in use is part of its machine; one that was left behind is not.
        disks = [disk for disk in await self._api.disks() if "os" not in disk.machines.values()]
        partitions = await self._api.partitions()
        names = owned([*(disk.name for disk in disks), *(one.name for one in partitions)], owner, token)
        found = [child_node("disk", disk, disk.name, self._api.project) for disk in disks if disk.name in names]
        return found + [child_node("network", one.id, one.name, self._api.project) for one in partitions if one.name in names]

    async def inspect(self, node: Node) -> Node:
        """Return the state now. For a machine that does not appear, ask for the operation that creates it.

        Raises:
            MarketError: that operation failed for lack of stock or quota.
        """
        api = self._api.within(node.provider_data.get("project"))
        if node.kind != "machine":
            same = [one for one in await self._children("*", node.token) if one.id == node.id]
            return same[0] if same else node.with_state(NodeState.GONE)
        machine = await api.machine(node.id)
        if machine is None:
            return await self._absent(api, node)
        seen = self._node(machine, api.project)
        seen = evolve(
            seen,
            token=node.token or seen.token,
            owner=node.owner or seen.owner,
            provider_data={**node.provider_data, **seen.provider_data},
        )
        seen = evolve(seen, price=node.price or seen.price, since=node.since or seen.since)
        if seen.state in _BOOTING and (making := await self._creation(api, node)) is not None and making.failed:
            return _failed(seen, making)
        return seen

    async def _absent(self, api: CrusoeApi, node: Node) -> Node:
        """What the absence of a machine means: not yet, never, or not any more."""
        making = await self._creation(api, node)
        if making is not None and making.failed:
            return _failed(node, making)
        if (making is not None and making.running) or (
            making is None and not node.provider_data.get("seen") and self._young(node)
        ):
            return node.with_state(NodeState.PENDING, "Crusoe does not show it yet")
        # The API does not declare 404, so it alone is no proof: the list, which is declared, must agree.
        if any(machine.id == node.id for machine in await api.machines(ids=node.id)):
            return node.with_state(NodeState.UNKNOWN, "listed, and not shown on its own")
        return node.with_state(NodeState.GONE, "Crusoe does not know it")

    async def _creation(self, api: CrusoeApi, node: Node) -> Operation | None:
        name = node.provider_data.get("operation")
        return await api.operation(name) if name else None

    def _young(self, node: Node) -> bool:
        """Whether it may be missing from the listing still."""
        return (
            not node.provider_data.get("seen")
            and node.since is not None
            and (self._clock.now() - node.since).total_seconds() < PROVIDER.timings.listing_lag
        )

    async def release(self, node: Node) -> Node:
        """Delete the machine, then its parts. Gone is success; ``releasing`` until all of it is gone."""
        api = self._api.within(node.provider_data.get("project"))
        if node.kind != "machine":
            return await self._parts(api).end_one(node)
        machine = await api.machine(node.id)
        try:
            seen = self._node(machine, api.project) if machine else await self._absent(api, node)
        except MarketError as error:
            seen = node.with_state(NodeState.FAILED, error.message)
        if machine and seen.state not in _LEAVING and await self._end(api, node.id):
            seen = await self._absent(api, self._node(machine, api.project))
        # A failed creation leaves no machine.
        if not (seen.state is NodeState.GONE or (machine is None and seen.state is NodeState.FAILED)):
            return node.with_state(NodeState.RELEASING, seen.detail)
        left = await self._end_parts(api, node)
        return node.with_state(NodeState.RELEASING if left else NodeState.GONE, left)

    async def _end(self, api: CrusoeApi, name: str) -> bool:
        """Begin to delete a machine; return whether it is gone already."""
        operation = await api.delete_machine(name)
        if operation is not None and operation.failed:
            raise failure(operation.code, operation.message, operation.id)
        return operation is None or (not operation.running and await api.machine(name) is None)

    async def _end_parts(self, api: CrusoeApi, node: Node) -> str:
        parts = self._parts(api)
        left = await parts.end(node.owner, node.token) if node.owner and node.token else ""
        joined = node.provider_data.get("partition", "")
        if joined and joined != self._config["ib_partition"]:
            await parts.end_group(joined)
        return left

    # --- the rest --------------------------------------------------------------------------------------------------

    def _node(self, machine: Machine, project: str) -> Node:
        node = node_of(machine, self._prices, project)
        if node.state is not NodeState.READY:
            return node
        identity = KeyPair("crusoe", self._folder, node.owner).identity if node.owner else None
        user, port = str(self._config["ssh_user"]), int(self._config["ssh_port"])
        return evolve(node, access=SSHAccess(machine.ip, user, port, identity=identity))

    def _parts(self, api: CrusoeApi) -> Parts:
        return Parts(api, self._clock, self._config["data_disk_gib"], self._config["ib_partition"])

    async def account(self) -> str:
        """Return the project, once the vendor has named it: a listing covers one project."""
        return await self._api.project_id()

    async def diagnose(self) -> Sequence[Diagnosis]:
        """Check key, clock, rights, quota and prices, by calls that cost nothing."""
        from lepton_crusoe._diagnosis import diagnoses

        return await diagnoses(self._api, self._prices)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()


def _failed(node: Node, making: Operation) -> Node:
    """A node whose creation failed.

    Raises:
        MarketError: it failed for lack of stock or quota.
    """
    error = failure(making.code, making.message, making.id)
    if isinstance(error, MarketError):
        raise error
    return node.with_state(NodeState.FAILED, error.message)
