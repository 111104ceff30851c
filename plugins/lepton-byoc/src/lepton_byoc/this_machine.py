"""This machine as a provider: allocates its GPUs one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import evolve

from lepton_byoc import machine
from lepton_byoc.allocations import Allocations
from lepton_byoc.gpus import GpuState, read_gpus, visible
from lepton_byoc.listing import parts
from lepton_byoc.refusals import held_by
from lepton_sdk.spi import (
    Availability,
    ConfigError,
    Diagnosis,
    Launch,
    LocalAccess,
    Money,
    NoCapacity,
    Node,
    NodeState,
    Offer,
    ProviderContext,
    Resources,
    Terms,
    TermsKind,
    Unavailable,
)

__all__ = ["REGION", "ThisMachine"]

REGION = "local"
_TYPE = "this-machine"
# The lock is held for one reading of NVML, which takes seconds at most.
_PATIENCE, _LOOK_AGAIN = 15.0, 0.02


def _left_out(lines: Sequence[str]) -> str:
    return f"this machine's {'; '.join(lines)}" if lines else ""


def _price(context: ProviderContext) -> Money:
    value = context.config.get("price_per_hour", 0.0)
    price = Money(str(value).removesuffix(".0"))
    if price.amount < 0:
        raise ConfigError(f"providers.{context.name}.price_per_hour: {value!r} is negative", hint="write 0 or more")
    return price


class ThisMachine:
    """The six methods over this host."""

    def __init__(self, context: ProviderContext) -> None:
        self._name = context.name
        self._clock = context.clock
        self._folder = context.cache_dir
        self._price = _price(context)
        self._allocations = Allocations(context.cache_dir, machine.hostname(), machine.boot_id())

    # --- the market ------------------------------------------------------------------------------------------------

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield the machine without its GPUs; then, for each GPU model, the requested or existing counts.

        Raises:
            Unavailable: the driver fails. The first offer is valid: a job without GPUs does not need the driver.
        """
        whole = self._whole()
        yield whole
        reading = await asyncio.to_thread(read_gpus)
        mine = visible(reading.gpus)
        held = held_by([node.to_dict() for node in self._allocations.nodes()])
        for offer in parts(whole, mine, self._free(mine), resources, held):
            yield evolve(offer, obstacle=offer.obstacle or _left_out(reading.left_out))
        if resources.requests and reading.left_out and not reading.gpus:
            raise Unavailable(_left_out(reading.left_out), provider=self._name, hint="lepton doctor byoc")

    def _whole(self) -> Offer:
        cordon = self._allocations.cordon()
        return Offer(
            provider=self._name,
            instance_type=_TYPE,
            region=REGION,
            cpus=machine.cpus(),
            memory_gib=machine.memory_gib(),
            disk_gib=machine.disk_gib(self._folder),
            terms=Terms(TermsKind.OWNED),
            price=self._price,
            price_source="own machine, price set in config" if self._price else "own machine",
            seen_at=self._clock.now(),
            availability=Availability.AVAILABLE if cordon is None else Availability.WITHHELD,
            obstacle=f"this machine is {cordon}" if cordon else "",
            hint="lepton byoc uncordon, by whoever has it in a fleet" if cordon else "",
            start_seconds=0,
        )

    def _free(self, gpus: Sequence[GpuState]) -> list[GpuState]:
        taken = self._allocations.held()
        return [state for state in gpus if not state.occupied and state.uuid not in taken]

    # --- a node's life ---------------------------------------------------------------------------------------------

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Allocate free GPUs of the offer's model, lowest index first. The same token gets the same node again.

        Raises:
            NoCapacity: fewer GPUs are free than the offer promised.
            Unavailable: the driver fails, or another process holds the record for 15 seconds.
        """
        async with self._alone():
            nodes = self._allocations.nodes()
            if held := next((node for node in nodes if node.token == launch.token), None):
                return held
            if cordon := self._allocations.cordon():
                raise NoCapacity(f"this machine is {cordon}", provider=self._name)
            uuids = await self._choose(offer)
            node = self._node(offer, launch, uuids)
            self._allocations.write([*nodes, node])
            return node

    async def _choose(self, offer: Offer) -> list[str]:
        if not offer.gpu_count:
            return []
        reading = await asyncio.to_thread(read_gpus)
        mine = [g for g in visible(reading.gpus) if offer.gpu is None or offer.gpu.fits(g.gpu) is None]
        free = self._free(mine)
        if len(free) < offer.gpu_count:
            raise NoCapacity(
                f"{offer.gpu_count} x {offer.gpu or 'GPU'} wanted, {len(free)} of {len(mine)} are free",
                provider=self._name,
                hint="lepton nodes shows what holds the others; nvidia-smi shows processes that are not ours",
            )
        return [state.uuid for state in sorted(free, key=lambda state: state.index)[: offer.gpu_count]]

    def _node(self, offer: Offer, launch: Launch, uuids: Sequence[str]) -> Node:
        names = ",".join(uuids)
        # "void" tells NVIDIA's container runtime to inject nothing.
        environment = {"CUDA_VISIBLE_DEVICES": names, "NVIDIA_VISIBLE_DEVICES": names or "void"}
        return Node(
            provider=self._name,
            id=f"{self._name}-{launch.token}",
            token=launch.token,
            owner=launch.owner,
            state=NodeState.READY,
            access=LocalAccess(environment, machine.hostname()),
            instance_type=offer.instance_type,
            region=REGION,
            price=offer.price,
            since=self._clock.now(),
            provider_data={"gpus": names, "run": launch.run_id},
        )

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return the allocations of ``owner`` on this machine (``"*"``: of everybody)."""
        for node in self._allocations.nodes():
            if owner in ("*", node.owner) and token in (None, node.token):
                yield node

    async def inspect(self, node: Node) -> Node:
        """Ready while it is allocated; gone after its release or a reboot of this machine."""
        held = next((one for one in self._allocations.nodes() if one.id == node.id), None)
        return held or node.with_state(NodeState.GONE, "not held on this machine")

    async def release(self, node: Node) -> Node:
        """Free the GPUs; powers nothing off.

        Raises:
            Unavailable: another process holds the record for 15 seconds, or the disk refuses.
        """
        async with self._alone():
            nodes = self._allocations.nodes()
            rest = [one for one in nodes if one.id != node.id]
            if len(rest) < len(nodes):
                self._allocations.write(rest)
        return node.with_state(NodeState.GONE)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Lock the record; waits for other processes without blocking the event loop."""
        give_up = self._clock.monotonic() + _PATIENCE
        while True:
            lock = self._allocations.lock()
            try:
                lock.__enter__()
                break
            except BlockingIOError:
                if self._clock.monotonic() > give_up:
                    raise Unavailable(
                        f"another process has held {self._allocations.path} for {_PATIENCE:.0f} seconds",
                        provider=self._name,
                        hint="look for a stopped lepton process",
                    ) from None
            await self._clock.sleep(_LOOK_AGAIN)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    # --- the rest --------------------------------------------------------------------------------------------------

    async def diagnose(self) -> Sequence[Diagnosis]:
        """Return the lines of ``lepton doctor`` for this machine."""
        from lepton_byoc.diagnosis import diagnoses

        return await asyncio.to_thread(diagnoses, self._folder, self._allocations.held)
