"""Node: one billable thing of ours, as its provider describes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import evolve, field, frozen

from lepton_sdk.domain.access import Access, access_from_dict, access_to_dict
from lepton_sdk.domain.money import Money
from lepton_sdk.errors import ContractViolation

__all__ = ["Node", "NodeState"]


class NodeState(StrEnum):
    """What a provider says about a billable thing now.

    ``queued``: it was accepted and waits for capacity, for as long as the job's own retry rule allows; ``detail`` says for what.
    ``stopped`` still bills at most vendors and is never ``gone``.
    """

    QUEUED = "queued"
    PENDING = "pending"
    READY = "ready"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    STOPPED = "stopped"
    RELEASING = "releasing"
    GONE = "gone"
    UNKNOWN = "unknown"


@frozen
class Node:
    """One billable thing at a provider, as the provider describes it.

    Attributes:
        provider: name of the plugin.
        id: the vendor's id.
        token: names the node of the attempt that it was made for; ``None`` if its tag was lost.
        owner: names the journal that made it; ``None`` if its tag was lost.
        kind: ``"machine"``, ``"disk"``, ``"network"``, …
        state: what the provider says now.
        access: how to reach it; ``None`` until it can be reached.
        price: for one hour.
        since: when the bill began, UTC.
        provider_data: opaque to core, kept in the journal (operation ids and the like); text only.
    """

    provider: str
    id: str
    token: str | None = None
    owner: str | None = None
    kind: str = "machine"
    state: NodeState = field(default=NodeState.UNKNOWN, converter=NodeState)
    access: Access | None = None
    instance_type: str = ""
    region: str = ""
    price: Money | None = None
    since: datetime | None = None
    detail: str = ""
    provider_data: Mapping[str, str] = field(factory=dict, hash=False)

    def with_state(self, state: NodeState, detail: str = "") -> Node:
        """The same node in another state."""
        return evolve(self, state=state, detail=detail)

    def to_dict(self) -> dict[str, object]:
        """The node as JSON keys."""
        return {
            "provider": self.provider,
            "id": self.id,
            "token": self.token,
            "owner": self.owner,
            "kind": self.kind,
            "state": str(self.state),
            "access": access_to_dict(self.access) if self.access else None,
            "instance_type": self.instance_type,
            "region": self.region,
            "price_per_hour": None if self.price is None else str(self.price),
            "currency": None if self.price is None else self.price.currency,
            "since": self.since.isoformat() if self.since else None,
            "detail": self.detail,
            "provider_data": dict(self.provider_data),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Node:
        """The reverse of `to_dict`.

        Raises:
            ContractViolation: a key is missing, unknown or of the wrong type.
        """
        values = dict(data)
        try:
            access, since = values.pop("access"), values.pop("since")
            price, currency = values.pop("price_per_hour"), values.pop("currency")
            return cls(
                access=access_from_dict(access) if isinstance(access, dict) else None,
                price=None if price is None else Money(str(price), str(currency)),
                since=datetime.fromisoformat(str(since)) if since else None,
                **values,  # type: ignore[arg-type]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractViolation(f"the record of a node does not hold: {error!r}") from error
