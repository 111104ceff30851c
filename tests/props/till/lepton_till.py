"""A cloud that costs money and answers when a test lets it: ``hold-create`` and ``hold-release`` in its folder hold it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_sdk._executors.local_spec import EXECUTOR as LOCAL
from lepton_sdk.spi import AuthError, ConfigField, CustomAccess, Launch, Node, Offer, ProviderContext, Resources
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

# Nobody rents this host: what is not "local" is billed, and nothing here powers a machine off. Only a provider that is "local"
# may say that its machine is this host, so the machines of this one have an access of their own.
PROVIDER = evolve(FAKE_SPEC, factory="lepton_till:create", capabilities=frozenset({"account"}), config=(ConfigField("folder"),))
EXECUTOR = evolve(LOCAL, name="till", access="till")


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

    def _node(self, record: dict[str, Any]) -> Node:
        return evolve(super()._node(record), access=CustomAccess("till"))

    async def _held(self, what: str) -> None:
        (self.folder / f"asked-{what}").touch()
        while (self.folder / f"hold-{what}").exists():  # noqa: ASYNC110 - files are what another process can make
            await asyncio.sleep(0.02)
