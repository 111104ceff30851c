"""Duplicates: machines with the same token as the one that the run adopted. Write each down, give it back, add its cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure, settle_account
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.providers import released
from lepton_sdk._engine.tasks import gather_all
from lepton_sdk.domain.events import NodeDuplicate
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.record import NodeRecord

__all__ = ["give_back_duplicate", "settle_duplicates"]


async def settle_duplicates(engine: Engine, record: NodeRecord, nodes: Sequence[Node], seen_at: datetime) -> bool:
    """Give back the duplicates of a node that a listing shows, and those being given back that it does not show any more.

    Args:
        seen_at: when the listing was asked for.

    Returns:
        True if there was any, so that the next check should come soon.
    """
    if record.node is None and record.held:
        # One of these machines may still be adopted, or be the one of the late create call.
        return False
    timings = engine.spec(record.offer.provider).timings
    ours = record.node.id if record.node else None
    mine = [n for n in nodes if n.token == record.token and n.kind == "machine" and n.id != ours]
    surplus = {n.id: n for n in mine if n.state is not NodeState.GONE and contradiction(n, record, timings) is None}
    going = {one.node.id: one.node for one in record.duplicates if one.gone_at is None}
    await gather_all(*(give_back_duplicate(engine, record, node, seen_at) for node in (going | surplus).values()))
    return bool(going or surplus)


async def give_back_duplicate(engine: Engine, record: NodeRecord, node: Node, seen_at: datetime) -> Node:
    """Ask once for a duplicate's release. Its entry is written first, so that its cost is known whatever dies.

    Args:
        record: the node with its token, which has adopted another machine, or can adopt none any more.
        seen_at: a time at which it was certainly there.
    """
    row = NodeDuplicate(node, seen_at).about(record.token)
    if node.id not in {one.node.id for one in record.duplicates}:
        # The node may be closed, and the account may have changed since. The duplicate is in the account that lists it.
        await settle_account(engine, node.provider)
        await engine.write(record.run, row)
    answer = await released(engine, node)
    if answer.state is NodeState.GONE:
        await assure(engine, node.provider)
        await engine.write(record.run, evolve(row, gone=True))
    return answer
