"""The questions to a provider: each is one bounded attempt, and each answer is checked."""

from __future__ import annotations

from lepton_sdk._engine.calls.bounded import ask_provider
from lepton_sdk._engine.calls.gate import checked_node
from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import ContractViolation

__all__ = ["found", "inspected", "released"]


async def inspected(engine: Engine, node: Node) -> Node:
    """The node as its provider has it now.

    Raises:
        LeptonError: the provider's own; `Unavailable` for what else it raised, or gave not in time.
        ContractViolation: the answer is none.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"inspecting {node.id}", lambda: engine.provider(name).inspect(node), engine.patience.provider, engine.clock
    )
    return checked_node(answer, name, node)


async def released(engine: Engine, node: Node) -> Node:
    """Ask once for a node to be given back, and hear in which state it is then.

    Raises:
        LeptonError, ContractViolation: as for `inspected`.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"releasing {node.id}", lambda: engine.provider(name).release(node), engine.patience.provider, engine.clock
    )
    return checked_node(answer, name, node)


async def found(engine: Engine, name: str, owner: str, token: str | None = None, *, into: list[Node] | None = None) -> list[Node]:
    """Everything that a provider lists for an owner. What cannot be a node is left out and told.

    Args:
        into: takes each node as it comes, so that those before an error are there.

    Raises:
        LeptonError, ContractViolation: as for `inspected`; a listing that breaks off is no listing.
    """
    nodes = [] if into is None else into
    begin = len(nodes)

    async def list_them() -> None:
        provider = engine.provider(name)
        async for answer in provider.find(owner, token) if token else provider.find(owner):
            try:
                nodes.append(checked_node(answer, name))
            except ContractViolation as error:
                engine.tell(f"{name}: {error.message}; it is left out of what is listed")

    await ask_provider(name, "listing what is ours", list_them, engine.patience.provider, engine.clock)
    return nodes[begin:]
