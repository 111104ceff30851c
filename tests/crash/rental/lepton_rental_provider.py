"""The heavy half of the plugin."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from lepton_sdk.spi import CustomAccess, Money, Node, Offer
from lepton_sdk.spi.hookspecs import hookimpl


def create(context):
    return Rental(context.http(base_url=context.config["url"]))


class Rental:
    def __init__(self, api):
        self._api = api

    async def offers(self, resources):
        # Of a call whose outcome is not known yet the run goes on to another type.
        for kind in ("box", "crate", "barrel"):
            yield Offer(
                "rental",
                kind,
                "here",
                cpus=1,
                memory_gib=1,
                price=Money("36"),
                price_source="the test",
                seen_at=datetime.now(UTC),
                availability="available",
                start_seconds=0,
            )

    async def acquire(self, offer, launch):
        wanted = {"owner": launch.owner, "token": launch.token, "kind": offer.instance_type}
        return self._node(await self._api.call("POST", "/machines", json=wanted, creates=True))

    async def find(self, owner, token=None, *, regions=()):
        wanted = {"owner": owner} | ({"token": token} if token else {})
        for machine in await self._api.call("GET", "/machines", params=wanted):
            yield self._node(machine)

    async def inspect(self, node):
        return self._node(await self._api.call("GET", f"/machines/{node.id}"))

    async def release(self, node):
        return self._node(await self._api.call("DELETE", f"/machines/{node.id}"))

    async def aclose(self):
        await self._api.aclose()

    @staticmethod
    def _node(machine):
        return Node(
            provider="rental",
            id=machine["id"],
            token=machine["token"],
            owner=machine["owner"],
            state=machine["state"],
            access=CustomAccess("rental", {"folder": f"{os.environ['RENTAL_MACHINES']}/{machine['id']}"}),
            instance_type=machine["kind"],
            region="here",
            price=Money("36"),
            since=datetime.fromtimestamp(machine["made"], UTC),
        )


class Killer:
    """``RENTAL_DIE_AT=node.owned`` ends the process at the first such row; the file sees to it that only one dies."""

    @hookimpl
    def on_transition(self, event):
        if event["kind"] == os.environ.get("RENTAL_DIE_AT"):
            died = Path(os.environ["RENTAL_DIED"])
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
