"""A line for each billable thing: its run, its cost so far, and how it differs from the journal."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from attrs import frozen

from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.errors import PluginError

__all__ = [
    "Difference",
    "HeldNode",
    "Report",
    "child_line",
    "duplicate_lines",
    "given_up_lines",
    "held",
    "node_line",
    "record_line",
]

_TOLD_DAYS = 30


class Difference(StrEnum):
    """How a billable thing differs from the journal.

    ``held``: no difference. ``unresolved``: a create call whose machine may still turn up. ``missing``: held, but not in the
    provider's listing; it still counts as costing. ``unmarked``: held, but its tags are gone. ``duplicate``: its token is
    known, but another machine was adopted for it. ``doubtful``: the same, but it cannot be what was asked for. ``stray``: it has
    our owner, and a token that the journal does not know. ``lost``: of the journal that was here and is gone or damaged.
    ``given-up``: somebody gave it up by hand, and nobody can say when its bill ends. ``other``: of another owner.
    """

    HELD = "held"
    UNRESOLVED = "unresolved"
    MISSING = "missing"
    UNMARKED = "unmarked"
    DUPLICATE = "duplicate"
    DOUBTFUL = "doubtful"
    STRAY = "stray"
    LOST = "lost"
    GIVEN_UP = "given-up"
    OTHER = "other"


@frozen
class HeldNode:
    """A line of ``lepton nodes``: a billable thing, its run, and what it has cost so far."""

    id: str
    provider: str
    state: str
    run: str | None
    price: Money | None
    cost: Money | None
    since: datetime | None
    difference: Difference = Difference.HELD
    action: str = ""
    cost_most: Money | None = None

    def to_dict(self) -> dict[str, object]:
        """The stable JSON keys of ``lepton nodes``."""
        return {
            "id": self.id,
            "provider": self.provider,
            "state": self.state,
            "run": self.run,
            "price_per_hour": None if self.price is None else str(self.price),
            "cost_so_far": None if self.cost is None else str(self.cost),
            "cost_at_most": str(self.cost_most) if self.cost_most is not None else None,
            "currency": None if self.price is None else self.price.currency,
            "since": self.since.isoformat() if self.since else None,
            "difference": str(self.difference),
            "action": self.action,
        }


@frozen
class Report:
    """What a reconciliation found and did."""

    nodes: tuple[HeldNode, ...]
    unasked: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The report as JSON keys."""
        return {
            "nodes": [node.to_dict() for node in self.nodes],
            "unasked": [{"provider": name, "message": message} for name, message in self.unasked],
        }


def held(engine: Engine) -> list[HeldNode]:
    """Everything that is open in the journal, with its cost."""
    now = engine.clock.now()
    records = [record for run in engine.journal.runs(open_only=True) for record in run.nodes]
    rows = [record_line(record, now, action=_missing(engine, record)) for record in records if record.held]
    return rows + [line for record in records for line in duplicate_lines(record, now)] + given_up_lines(engine, now)


def _missing(engine: Engine, record: NodeRecord) -> str:
    """The plugin that is needed to ask for the node or its job and is not installed here; ``""`` if none is missing."""
    name = record.offer.provider
    try:
        engine.spec(name)
    except PluginError:
        return f"the plugin of provider {name} is not installed: only with it the machine can be given back"
    access = record.node.access if record.node is not None else None
    if access is None or engine.reaches(access):
        return ""
    return f"{record.executor or f'the executor for {access.kind}'} is not installed: nobody here can ask for its job"


def given_up_lines(engine: Engine, now: datetime) -> list[HeldNode]:
    """A line for each node that a person gave up: as long as its machine may be billed, or for a month if nobody knows."""
    lines = []
    for record in (record for run in engine.journal.given_up() for record in run.nodes):
        if record.given_up_at is None or record.released_at is not None:
            continue
        least = record.intended_at + timedelta(seconds=record.lasts) if record.lasts is not None else None
        until = least or record.given_up_at + timedelta(days=_TOLD_DAYS)
        if now < until:
            ends = "its own limits end it by then at the latest" if least else "nothing here ends its bill"
            action = f"given up {record.given_up_at:%Y-%m-%d}; shown until {until:%Y-%m-%d %H:%M} UTC: {ends}"
            lines.append(record_line(record, now, Difference.GIVEN_UP, action))
    return lines


def duplicate_lines(record: NodeRecord, now: datetime) -> list[HeldNode]:
    """A line for each duplicate of a node that is not gone yet."""
    open_ones = [one.node for one in record.duplicates if one.gone_at is None]
    return [node_line(node, now, Difference.DUPLICATE, "being released") for node in open_ones]


def record_line(record: NodeRecord, now: datetime, difference: Difference | None = None, action: str = "") -> HeldNode:
    """The line of a node in the journal."""
    node = record.node
    standing = Difference.UNRESOLVED if record.late and not record.stopped else Difference.HELD
    return HeldNode(
        id=node.id if node else record.token,
        provider=record.offer.provider,
        state=str(record.stage),
        run=record.run,
        price=record.price,
        cost=record.cost(now),
        since=(node.since if node else None) or record.intended_at,
        difference=difference or standing,
        action=action,
        cost_most=record.cost_most(now),
    )


def child_line(node: Node, record: NodeRecord, now: datetime) -> HeldNode:
    """The line of a disk or a network that belongs to a machine."""
    return HeldNode(
        node.id,
        node.provider,
        f"{node.kind} {node.state}",
        record.run,
        node.price,
        _cost(node, now),
        node.since or record.intended_at,
    )


def node_line(node: Node, now: datetime, difference: Difference, action: str) -> HeldNode:
    """The line of a thing that a provider lists and that belongs to no open entry."""
    cost = _cost(node, now)
    return HeldNode(
        node.id, node.provider, str(node.state), None, node.price, cost, node.since, difference, action, cost_most=cost
    )


def _cost(node: Node, now: datetime) -> Money | None:
    if node.price is None or node.since is None:
        return None
    return (node.price * (Decimal(str((now - node.since).total_seconds())) / 3600)).rounded(4)
