"""The questions to a provider: each is one bounded attempt, and each answer is checked."""

from __future__ import annotations

from lepton_sdk._engine.calls.bounded import ask_provider
from lepton_sdk._engine.calls.gate import Faults, checked_node, each
from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import ContractViolation

__all__ = ["found", "inspected", "released"]

# No vendor lists as many for one owner.
_MOST = 1_000_000
_READ = "it is passed over, and the node is not"


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
    return _checked(engine, answer, node)


async def released(engine: Engine, node: Node) -> Node:
    """Ask once for a node to be given back, and hear in which state it is then.

    Raises:
        LeptonError, ContractViolation: as for `inspected`.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"releasing {node.id}", lambda: engine.provider(name).release(node), engine.patience.provider, engine.clock
    )
    return _checked(engine, answer, node)


async def found(engine: Engine, name: str, owner: str, token: str | None = None, *, into: list[Node] | None = None) -> list[Node]:
    """Everything that a provider lists for an owner. What cannot be a node is left out and told.

    Args:
        into: takes each node as it comes, so that those before an error are there.

    Raises:
        LeptonError, ContractViolation: as for `inspected`; a listing that breaks off is no listing.
    """
    nodes = [] if into is None else into
    begin = len(nodes)
    hidden, wrong = Faults(name), Faults(name)

    async def list_them() -> None:
        provider = engine.provider(name)
        answers = provider.find(owner, token) if token else provider.find(owner)
        async for answer in each(answers, "find", name):
            try:
                nodes.append(checked_node(answer, name, note=wrong.note))
            except ContractViolation as error:
                hidden.note(error)
            if len(nodes) - begin + hidden.count > _MOST:
                raise ContractViolation(f"it lists more than {_MOST} things", provider=name)

    try:
        await ask_provider(name, "listing what is ours", list_them, engine.patience.provider, engine.clock)
    finally:
        # One line for a listing: what cannot be a node goes before what is only wrong in one.
        _tell(engine, name, hidden.first, "it is left out of what is listed")
        _tell(engine, name, wrong.first if hidden.first is None else None, _READ)
    return nodes[begin:]


def _checked(engine: Engine, answer: object, node: Node) -> Node:
    wrong = Faults(node.provider)
    checked = checked_node(answer, node.provider, node, wrong.note)
    _tell(engine, node.provider, wrong.first, _READ)
    return checked


def _tell(engine: Engine, name: str, fault: ContractViolation | None, what: str) -> None:
    if fault is not None:
        engine.tell(f"{name}: {fault.message}; {what}; next: {fault.hint}")
