"""The questions to a provider: each is one bounded attempt, and each answer is checked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lepton_sdk._engine.calls.bounded import ask_provider
from lepton_sdk._engine.calls.gate import Faults, checked_node, each
from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.capabilities import GroupReleasing

__all__ = ["checked_answer", "found", "found_of", "inspected", "released", "released_group"]

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
        name, f"inspecting {node.id}", lambda: engine.provider(name).inspect(node), engine.timing.provider, engine.clock
    )
    return _checked(engine, answer, node)


async def released(engine: Engine, node: Node) -> Node:
    """Ask once for a node to be given back, and hear in which state it is then.

    Raises:
        LeptonError, ContractViolation: as for `inspected`.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"releasing {node.id}", lambda: engine.provider(name).release(node), engine.timing.provider, engine.clock
    )
    return _checked(engine, answer, node)


async def released_group(engine: Engine, nodes: Sequence[Node]) -> dict[str, Node]:
    """Ask once for all nodes of an attempt to be given back; each node's state by its id, as far as the answer names it.

    Raises:
        LeptonError, ContractViolation: as for `inspected`.
    """
    name, known = nodes[0].provider, {node.id: node for node in nodes}

    async def ask() -> Sequence[Node]:
        provider = engine.provider(name)
        assert isinstance(provider, GroupReleasing)
        answers = await provider.release_group(nodes)
        if not isinstance(answers, list | tuple):
            raise ContractViolation(f"release_group() gave a {type(answers).__name__}, not a list of nodes", provider=name)
        return answers

    answers = await ask_provider(name, f"releasing {len(nodes)} nodes", ask, engine.timing.provider, engine.clock)
    checked = (checked_answer(engine, name, answer) for answer in answers)
    told = {node.id: _checked(engine, node, known[node.id]) for node in checked if node.id in known}
    # What the answer does not name is not gone.
    return {node.id: told.get(node.id, node.with_state(NodeState.RELEASING)) for node in nodes}


async def found(
    engine: Engine,
    name: str,
    owner: str,
    token: str | None = None,
    *,
    regions: Collection[str] = (),
    into: list[Node] | None = None,
) -> list[Node]:
    """Everything that a provider lists for an owner. What cannot be a node is left out and told.

    Args:
        regions: where it may be; everywhere without one. What is elsewhere may be missing from the answer.
        into: takes each node as it comes, so that those before an error are there.

    Raises:
        LeptonError, ContractViolation: as for `inspected`; a listing that breaks off is no listing.
    """
    nodes = [] if into is None else into
    begin = len(nodes)
    hidden, wrong = Faults(name), Faults(name)

    async def list_them() -> None:
        answers = engine.provider(name).find(owner, token, regions=tuple(sorted(regions)))
        async for answer in each(answers, "find", name):
            try:
                nodes.append(checked_answer(engine, name, answer, wrong))
            except ContractViolation as error:
                hidden.note(error)
            if len(nodes) - begin + hidden.count > _MOST:
                raise ContractViolation(f"it lists more than {_MOST} things", provider=name)

    try:
        await ask_provider(name, "listing what is ours", list_them, engine.timing.provider, engine.clock)
    finally:
        # One line for a listing: what cannot be a node goes before what is only wrong in one.
        _tell(engine, name, hidden.first, "it is left out of what is listed")
        _tell(engine, name, wrong.first if hidden.first is None else None, _READ)
    return nodes[begin:]


async def found_of(engine: Engine, record: NodeRecord) -> list[Node]:
    """Everything that its provider lists under one token, in the region where it was asked for.

    Raises:
        LeptonError, ContractViolation: as for `found`.
    """
    region, name = record.offer.region, record.offer.provider
    regions = () if region == "*" else (region,)
    owners = engine.journal.owners
    return [node for owner in owners for node in await found(engine, name, owner, record.token, regions=regions)]


def checked_answer(engine: Engine, name: str, answer: object, wrong: Faults | None = None, known: Node | None = None) -> Node:
    """A node that a provider gave, through the gate.

    Args:
        wrong: takes what was put right in it.
        known: the node that was asked about.

    Raises:
        ContractViolation: it is no node, or not the one that was asked about.
    """
    note = (wrong or Faults(name)).note
    return checked_node(answer, name, known, note, local=engine.has_own_hosts(name))


def _checked(engine: Engine, answer: object, node: Node) -> Node:
    wrong = Faults(node.provider)
    checked = checked_answer(engine, node.provider, answer, wrong, node)
    _tell(engine, node.provider, wrong.first, _READ)
    return checked


def _tell(engine: Engine, name: str, fault: ContractViolation | None, what: str) -> None:
    if fault is not None:
        engine.tell(f"{name}: {fault.message}; {what}; next: {fault.hint}")
