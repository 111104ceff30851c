"""Holding the journal against what providers list: adopt, release or show each difference."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from attrs import frozen

from lepton_sdk._engine.follower import catch_up
from lepton_sdk._engine.session import Session
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import NodeRecord
from lepton_sdk.errors import LeptonError

__all__ = ["Difference", "HeldNode", "Report", "held", "reconcile"]

_SECONDS = 60.0


class Difference(StrEnum):
    """How a billable thing stands to the journal."""

    HELD = "held"
    DUPLICATE = "duplicate"
    STRAY = "stray"
    MISSING = "missing"


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

    def to_dict(self) -> dict[str, object]:
        """The stable JSON keys of ``lepton nodes``."""
        return {
            "id": self.id,
            "provider": self.provider,
            "state": self.state,
            "run": self.run,
            "price_per_hour": None if self.price is None else str(self.price),
            "cost_so_far": None if self.cost is None else str(self.cost),
            "currency": None if self.price is None else self.price.currency,
            "since": self.since.isoformat() if self.since else None,
            "difference": str(self.difference),
            "action": self.action,
        }


@frozen
class Report:
    """What a reconciliation saw and did."""

    nodes: tuple[HeldNode, ...]
    unasked: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The report as JSON keys."""
        return {
            "nodes": [node.to_dict() for node in self.nodes],
            "unasked": [{"provider": name, "message": message} for name, message in self.unasked],
        }


def held(session: Session) -> list[HeldNode]:
    """Everything that the journal holds open, with its cost."""
    now = session.clock.now()
    return [_line(record, now) for run in session.journal.runs(open_only=True) for record in run.nodes if record.open]


def _line(record: NodeRecord, now: datetime, difference: Difference = Difference.HELD) -> HeldNode:
    node = record.node
    return HeldNode(
        id=node.id if node else record.token,
        provider=record.offer.provider,
        state=str(record.stage),
        run=record.run,
        price=record.price,
        cost=record.cost(now),
        since=(node.since if node else None) or record.intended_at,
        difference=difference,
    )


def _child(node: Node, record: NodeRecord, now: datetime) -> HeldNode:
    return HeldNode(
        node.id,
        node.provider,
        f"{node.kind} {node.state}",
        record.run,
        node.price,
        _cost(node, now),
        node.since or record.intended_at,
    )


def _cost(node: Node, now: datetime) -> Money | None:
    if node.price is None or node.since is None:
        return None
    return (node.price * (Decimal(str((now - node.since).total_seconds())) / 3600)).rounded(4)


async def reconcile(session: Session, *, everywhere: bool = True, release_strays: bool = False) -> Report:
    """Take the steps that are due, then list providers and compare.

    Args:
        everywhere: ask every usable provider; else only those with open rows.
        release_strays: also give back what carries our owner but is not in the journal.
    """
    await catch_up(session)
    with_open_rows = set(session.journal.providers_with_open_nodes())
    usable = {name for name, state in session.standing().items() if state.usable}
    names = sorted(with_open_rows | usable if everywhere else with_open_rows)
    answers = await asyncio.gather(*(_list(session, name) for name in names))
    # The providers were listed first: a row that is written in between can only explain more, never less.
    lines: list[HeldNode] = []
    unasked: list[tuple[str, str]] = []
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, LeptonError):
            unasked.append((name, str(answer)))
            lines.extend(line for line in held(session) if line.provider == name)
        else:
            lines.extend(await _compare(session, name, answer, release_strays=release_strays))
    return Report(tuple(lines), tuple(unasked))


async def _list(session: Session, name: str) -> list[Node] | LeptonError:
    try:
        async with asyncio.timeout(_SECONDS):
            return [node for owner in session.journal.owners async for node in session.provider(name).find(owner)]
    except LeptonError as error:
        return error
    except Exception as error:
        return LeptonError(f"{type(error).__name__}: {error}", provider=name, hint=f"lepton doctor {name}")


async def _compare(session: Session, name: str, nodes: list[Node], *, release_strays: bool) -> list[HeldNode]:
    now = session.clock.now()
    records = {
        record.token: record
        for run in session.journal.runs(open_only=True)
        for record in run.nodes
        if record.open and record.offer.provider == name
    }
    lines: list[HeldNode] = []
    listed: set[str] = set()
    for node in nodes:
        if node.state is NodeState.GONE:
            continue
        record = records.get(node.token or "")
        if record is not None and (record.node is None or record.node.id == node.id):
            listed.add(record.token)
            lines.append(_line(record, now))
            continue
        if record is not None and node.kind != "machine":
            # A disk or a network of a machine that is held goes with that machine.
            lines.append(_child(node, record, now))
            continue
        known = node.token is not None and session.journal.run_of(node.token) is not None
        lines.append(await _surplus(session, node, now, known=known, release=known or release_strays))
    missing = [record for token, record in records.items() if token not in listed]
    return lines + [_line(record, now, Difference.MISSING) for record in missing]


async def _surplus(session: Session, node: Node, now: datetime, *, known: bool, release: bool) -> HeldNode:
    """A machine that no open row explains: of a token of ours it is released, of an unknown one it is shown."""
    action = "shown; release it with lepton reconcile --release-strays"
    if session.journal.is_foreign:
        action = "shown; the journal is of another host"
    elif release:
        try:
            node = await session.provider(node.provider).release(node)
            action = "released" if node.state is NodeState.GONE else "being released"
        except LeptonError as error:
            action = f"release failed: {error.message}"
    difference = Difference.DUPLICATE if known else Difference.STRAY
    return HeldNode(node.id, node.provider, str(node.state), None, node.price, _cost(node, now), node.since, difference, action)
