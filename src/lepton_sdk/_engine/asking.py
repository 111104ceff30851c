"""The questions to a provider: each is one bounded attempt, and each answer is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lepton_sdk._engine.answers import checked_node
from lepton_sdk._engine.bounded import ask_provider
from lepton_sdk._engine.session import Session
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import ContractViolation

__all__ = ["found", "inspected", "released"]


async def inspected(session: Session, node: Node) -> Node:
    """The node as its provider has it now.

    Raises:
        LeptonError: the provider's own; `Unavailable` for what else it raised, or gave not in time.
        ContractViolation: the answer is none.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"inspecting {node.id}", lambda: session.provider(name).inspect(node), session.patience.provider, session.clock
    )
    return checked_node(answer, name, node)


async def released(session: Session, node: Node) -> Node:
    """Ask once for a node to be given back, and hear in which state it is then.

    Raises:
        LeptonError, ContractViolation: as for `inspected`.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"releasing {node.id}", lambda: session.provider(name).release(node), session.patience.provider, session.clock
    )
    return checked_node(answer, name, node)


async def found(session: Session, name: str, owner: str, token: str | None = None) -> list[Node]:
    """Everything that a provider lists for an owner. What cannot be a node is left out and told.

    Raises:
        LeptonError, ContractViolation: as for `inspected`; a listing that breaks off is no listing.
    """
    answers = await ask_provider(
        name,
        "listing what is ours",
        lambda: _listed(session.provider(name).find(owner, token) if token else session.provider(name).find(owner)),
        session.patience.provider,
        session.clock,
    )
    nodes = []
    for answer in answers:
        try:
            nodes.append(checked_node(answer, name))
        except ContractViolation as error:
            session.tell(f"{name}: {error.message}; it is left out of what is listed")
    return nodes


async def _listed(nodes: AsyncIterator[Node]) -> list[Node]:
    return [node async for node in nodes]
