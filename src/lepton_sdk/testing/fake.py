"""FakeProvider: machines in a folder. Jobs really run, on this host; only the renting is simulated."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from lepton_sdk._clock import Clock, SystemClock
from lepton_sdk.domain.access import LocalAccess
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Availability, Offer, Terms
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import LeptonError, OutcomeUnknown
from lepton_sdk.spi.provider import Launch
from lepton_sdk.spi.spec import ProviderSpec, Timings

__all__ = ["FAKE_SPEC", "FakeProvider", "fake_offer"]

FAKE_SPEC = ProviderSpec(
    "fake",
    title="Fake cloud",
    factory="lepton_sdk.testing.fake:FakeProvider",
    capabilities=frozenset({"local", "account"}),
    timings=Timings(listing_lag=0, create_horizon=0, boot=5, billing_increment=1, poll=0.01),
)


def fake_offer(instance_type: str = "h100x8", *, gpu: str | None = "H100-SXM-80GB", count: int = 8, **changes: Any) -> Offer:
    """An offer of the fake cloud; every field can be replaced.

    >>> fake_offer(price=Money("9")).price.display()
    '$9.00'
    """
    values: dict[str, Any] = {
        "provider": FAKE_SPEC.name,
        "instance_type": instance_type,
        "region": "nowhere-1",
        "gpu": Gpu.parse(gpu) if gpu else None,
        "gpu_count": count if gpu else 0,
        "cpus": 16,
        "memory_gib": 64,
        "disk_gib": 100,
        "terms": Terms(),
        "price": Money("24"),
        "price_source": "fake list",
        "seen_at": SystemClock().now(),
        "availability": Availability.AVAILABLE,
        "start_seconds": 0,
    }
    return Offer(**values | changes)


class FakeProvider:
    """A provider whose machines are files in a folder, so that several processes see one cloud and one bill.

    Args:
        folder: where the machines are; created on demand.
        offers: what is sold; by default one machine with 8 H100.
        faults: what happens to the next ``acquire`` calls, in order: ``None`` for no fault, an error to raise before anything
            is created, ``"lose-reply"`` to create the machine and lose the answer, ``"die"`` to end this process in between.
        boot_seconds: how long a machine is pending.
        release_seconds: how long a release takes.
        account: the account of the credentials; the machines of other accounts look gone.

    Attributes:
        calls: the names of the contract's methods in the order in which they were called.
    """

    def __init__(
        self,
        folder: Path,
        offers: Sequence[Offer] = (),
        *,
        faults: Sequence[LeptonError | str | None] = (),
        boot_seconds: float = 0,
        release_seconds: float = 0,
        account: str = "fake-account",
        clock: Clock | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.calls: list[str] = []
        self._account = account
        self._offers = tuple(offers) or (fake_offer(),)
        self._faults = list(faults)
        self._boot = timedelta(seconds=boot_seconds)
        self._leave = timedelta(seconds=release_seconds)
        self._clock: Clock = clock or SystemClock()

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield every offer, whatever the request."""
        self.calls.append("offers")
        for offer in self._offers:
            yield offer

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Create one machine."""
        self.calls.append("acquire")
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, LeptonError):
            raise fault
        node = self._make(offer, launch)
        if fault == "lose-reply":
            raise OutcomeUnknown("the connection broke after the create call had left", provider=offer.provider)
        if fault == "die":
            os._exit(9)
        return node

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return every machine of the owner."""
        self.calls.append("find")
        for record in self._records():
            node = self._node(record)
            if node.state is not NodeState.GONE and owner in ("*", node.owner) and token in (None, node.token):
                yield node

    async def inspect(self, node: Node) -> Node:
        """Return the machine's state now."""
        self.calls.append("inspect")
        record = self._read(node.id)
        return self._node(record) if record else node.with_state(NodeState.GONE)

    async def release(self, node: Node) -> Node:
        """Release the machine."""
        self.calls.append("release")
        record = self._read(node.id)
        if record is None:
            return node.with_state(NodeState.GONE)
        if record["released"] is None:
            record["released"] = self._clock.now().timestamp()
            self._write(record)
        return self._node(record)

    async def account(self) -> str:
        """Return the account of the credentials."""
        return self._account

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""
        self.calls.append("aclose")

    # --- the bill --------------------------------------------------------------------------------------------------

    def machines(self) -> list[Node]:
        """Every machine that was ever created, oldest first."""
        return [self._node(record) for record in self._records()]

    def running(self) -> list[Node]:
        """Every machine that costs money now."""
        return [node for node in self.machines() if node.state is not NodeState.GONE]

    # --- machines as files -----------------------------------------------------------------------------------------

    def _make(self, offer: Offer, launch: Launch) -> Node:
        now = self._clock.now().timestamp()
        record = {
            "id": f"fake-{launch.token}",
            "token": launch.token,
            "owner": launch.owner,
            "account": self._account,
            "offer": offer.to_dict(),
            "created": now,
            "released": None,
        }
        self._write(record)
        return self._node(record)

    def _node(self, record: dict[str, Any]) -> Node:
        from datetime import UTC, datetime

        offer = Offer.from_dict(record["offer"])
        created = datetime.fromtimestamp(record["created"], UTC)
        return Node(
            provider=offer.provider,
            id=record["id"],
            token=record["token"],
            owner=record["owner"],
            state=self._state(record),
            access=LocalAccess(),
            instance_type=offer.instance_type,
            region=offer.region,
            price=offer.price,
            since=created,
        )

    def _state(self, record: dict[str, Any]) -> NodeState:
        now = self._clock.now().timestamp()
        if record["released"] is not None:
            gone = now >= record["released"] + self._leave.total_seconds()
            return NodeState.GONE if gone else NodeState.RELEASING
        return NodeState.READY if now >= record["created"] + self._boot.total_seconds() else NodeState.PENDING

    def _records(self) -> list[dict[str, Any]]:
        if not self.folder.exists():
            return []
        records = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))]
        return [record for record in records if record["account"] == self._account]

    def _read(self, node_id: str) -> dict[str, Any] | None:
        path = self.folder / f"{node_id}.json"
        record = json.loads(path.read_text()) if path.exists() else None
        return record if record is not None and record["account"] == self._account else None

    def _write(self, record: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{record['id']}.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(record))
        part.replace(path)
