"""Give back the prerequisites of an attempt (a network, a GPU cluster), once the last of its nodes is gone."""

from __future__ import annotations

from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.providers import found_of, released
from lepton_sdk.domain.events import NodeReleased, NodeUnresolved
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import LeptonError

__all__ = ["clear"]


async def clear(member: Member) -> Run:
    """Give back what the provider lists under the attempt's group.

    The run waits for it only for a short time. After that the entry stays open, and a sweep goes on with it.
    """
    record, engine = member.record, member.engine
    member.due("clear")
    try:
        rests = [await released(engine, node) for node in await found_of(engine, record) if node.state is not NodeState.GONE]
        # In another account nothing of ours is listed.
        await assure(engine, member.provider_name)
    except LeptonError:
        return await _left(member) if _is_late(member) else member.run
    age = (engine.clock.now() - record.intended_at).total_seconds()
    if age >= member.spec.timings.listing_lag and all(rest.state is NodeState.GONE for rest in rests) and _is_sure(member, rests):
        return await member.step(NodeReleased("what was made for the attempt is gone"))
    return await _left(member) if _is_late(member) else member.run


def _is_sure(member: Member, rests: list[Node]) -> bool:
    """Return True if something was given back just now, or a second listing shows nothing: a listing may be cut short."""
    return bool(rests) or not member.due("nothing listed")


def _is_late(member: Member) -> bool:
    return (member.elapsed("clear") or 0.0) > member.engine.timing.prerequisites


async def _left(member: Member) -> Run:
    return await member.step(NodeUnresolved("what was made for the attempt is not given back yet; a sweep goes on with it"))
