"""Machines of a token beyond the one that its row adopted: written down, given back, and paid for by their run."""

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
    """Give back what a listing shows beside the machine of a row, and what was being given back and is not shown any more.

    Args:
        seen_at: when the listing was asked for.

    Returns:
        Whether there was anything, so that it should be looked at again soon.
    """
    if record.node is None and record.held:
        # One of them is still to be adopted, or to be taken for the late one.
        return False
    timings = engine.spec(record.offer.provider).timings
    ours = record.node.id if record.node else None
    mine = [n for n in nodes if n.token == record.token and n.kind == "machine" and n.id != ours]
    surplus = {n.id: n for n in mine if n.state is not NodeState.GONE and contradiction(n, record, timings) is None}
    going = {one.node.id: one.node for one in record.duplicates if one.gone_at is None}
    await gather_all(*(give_back_duplicate(engine, record, node, seen_at) for node in (going | surplus).values()))
    return bool(going or surplus)


async def give_back_duplicate(engine: Engine, record: NodeRecord, node: Node, seen_at: datetime) -> Node:
    """Ask once for a duplicate to be given back; the row that names it comes first, so that its cost is known whatever dies.

    Args:
        record: of its token; another machine is the winner there, or nothing can be any more.
        seen_at: when it was certainly there.
    """
    row = NodeDuplicate(node, seen_at).about(record.token)
    if node.id not in {one.node.id for one in record.duplicates}:
        # What it doubles may be closed, and the account have changed since: this one is in the account that shows it.
        await settle_account(engine, node.provider)
        await engine.write(record.run, row)
    answer = await released(engine, node)
    if answer.state is NodeState.GONE:
        await assure(engine, node.provider)
        await engine.write(record.run, evolve(row, gone=True))
    return answer
