"""A cloud that costs money and answers when a test lets it: ``hold-create`` and ``hold-release`` in its folder hold it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from attrs import evolve

from lepton_sdk.spi import AuthError, ConfigField, Launch, Node, Offer, ProviderContext, Resources
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

# Nobody rents this host: what is not "local" is billed, and nothing here powers a machine off.
PROVIDER = evolve(FAKE_SPEC, factory="lepton_till:create", capabilities=frozenset({"account"}), config=(ConfigField("folder"),))


def create(context: ProviderContext) -> Till:
    return Till(Path(str(context.config["folder"])))


class Till(FakeProvider):
    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        await self._held("offers")
        async for offer in super().offers(resources):
            yield offer

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        await self._held("create")
        return await super().acquire(offer, launch)

    async def release(self, node: Node) -> Node:
        await self._held("release")
        if (self.folder / "break-release").exists():
            raise AuthError("the key was withdrawn", provider="fake")
        return await super().release(node)

    async def _held(self, what: str) -> None:
        (self.folder / f"asked-{what}").touch()
        while (self.folder / f"hold-{what}").exists():  # noqa: ASYNC110 - files are what another process can make
            await asyncio.sleep(0.02)
