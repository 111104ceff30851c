"""The provider: this machine, and the hosts of the fleet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from lepton_byoc.fleet import Fleet
from lepton_byoc.this_machine import REGION, ThisMachine
from lepton_sdk.spi import Diagnosis, Launch, Node, Offer, ProviderContext, Resources, Unavailable

__all__ = ["OwnMachines", "create"]


def create(context: ProviderContext) -> OwnMachines:
    """The factory that the spec names.

    Raises:
        ConfigError: a negative price, or a host with wrong keys.
    """
    return OwnMachines(context)


class OwnMachines:
    """The six methods: each call goes to this machine or to the fleet. A node of the fleet names its host."""

    def __init__(self, context: ProviderContext) -> None:
        self._here = ThisMachine(context)
        self._fleet = Fleet(context)

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield this machine, then the fleet as it was last seen; contacts no other host.

        Raises:
            Unavailable: the driver here fails, or some host was never probed. All possible offers came before.
        """
        failed: Unavailable | None = None
        try:
            async for offer in self._here.offers(resources):
                yield offer
        except Unavailable as error:
            failed = error
        async for offer in self._fleet.offers(resources):
            yield offer
        if failed is not None:
            raise failed

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Allocate the offered part. The same token gets the same node again."""
        return await (self._here if offer.region == REGION else self._fleet).acquire(offer, launch)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return the allocations here and on every host of the fleet."""
        async for node in self._here.find(owner, token):
            if "host" not in node.provider_data:
                yield node
        async for node in self._fleet.find(owner, token):
            yield node

    async def inspect(self, node: Node) -> Node:
        """Return the state now."""
        return await self._home(node).inspect(node)

    async def release(self, node: Node) -> Node:
        """Free its GPUs."""
        return await self._home(node).release(node)

    def _home(self, node: Node) -> ThisMachine | Fleet:
        return self._fleet if "host" in node.provider_data else self._here

    async def diagnose(self) -> Sequence[Diagnosis]:
        """Return the lines of ``lepton doctor`` for this machine."""
        return await self._here.diagnose()

    async def aclose(self) -> None:
        """Do nothing: connections belong to the context."""
