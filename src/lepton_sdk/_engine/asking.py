"""The questions to a provider: each is one bounded attempt, and each answer is checked."""

from __future__ import annotations

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


async def found(
    session: Session, name: str, owner: str, token: str | None = None, *, into: list[Node] | None = None
) -> list[Node]:
    """Everything that a provider lists for an owner. What cannot be a node is left out and told.

    Args:
        into: takes each node as it comes, so that those before an error are there.

    Raises:
        LeptonError, ContractViolation: as for `inspected`; a listing that breaks off is no listing.
    """
    nodes = [] if into is None else into
    begin = len(nodes)

    async def list_them() -> None:
        provider = session.provider(name)
        async for answer in provider.find(owner, token) if token else provider.find(owner):
            try:
                nodes.append(checked_node(answer, name))
            except ContractViolation as error:
                session.tell(f"{name}: {error.message}; it is left out of what is listed")

    await ask_provider(name, "listing what is ours", list_them, session.patience.provider, session.clock)
    return nodes[begin:]
