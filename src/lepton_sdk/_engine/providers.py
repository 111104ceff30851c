"""The questions to a provider: inspect, release, find. Each is one bounded attempt, and each answer is checked."""

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

# No vendor lists this many things for one owner.
_MOST = 1_000_000
_READ = "it is passed over, and the node is not"


async def inspected(engine: Engine, node: Node) -> Node:
    """The node's state at its provider now.

    Raises:
        LeptonError: the provider's own; `Unavailable` if it raised anything else, or did not answer in time.
        ContractViolation: the answer is not valid.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"inspecting {node.id}", lambda: engine.provider(name).inspect(node), engine.timing.provider, engine.clock
    )
    return _checked(engine, answer, node)


async def released(engine: Engine, node: Node) -> Node:
    """Ask once for a node's release; the node with its state after that.

    Raises:
        LeptonError, ContractViolation: as for `inspected`.
    """
    name = node.provider
    answer = await ask_provider(
        name, f"releasing {node.id}", lambda: engine.provider(name).release(node), engine.timing.provider, engine.clock
    )
    return _checked(engine, answer, node)


async def released_group(engine: Engine, nodes: Sequence[Node]) -> dict[str, Node]:
    """Ask once for the release of all nodes of an attempt; each node by its id.

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
    # A node that the answer does not name is not gone.
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
    """Everything that a provider lists for an owner. What cannot be a node is left out, and the user is told.

    Args:
        regions: where to search; empty for everywhere. The answer may omit what is elsewhere.
        into: receives each node as it comes, so that the nodes before an error are not lost.

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
        # One line for a listing: something that cannot be a node is more important than a wrong field of a node.
        _tell(engine, name, hidden.first, "it is left out of what is listed")
        _tell(engine, name, wrong.first if hidden.first is None else None, _READ)
    return nodes[begin:]


async def found_of(engine: Engine, record: NodeRecord) -> list[Node]:
    """Everything that the provider lists under the node's token, in the region of its offer.

    Raises:
        LeptonError, ContractViolation: as for `found`.
    """
    region, name = record.offer.region, record.offer.provider
    regions = () if region == "*" else (region,)
    owners = engine.journal.owners
    return [node for owner in owners for node in await found(engine, name, owner, record.token, regions=regions)]


def checked_answer(engine: Engine, name: str, answer: object, wrong: Faults | None = None, known: Node | None = None) -> Node:
    """Check a node that a provider gave, and return it.

    Args:
        wrong: receives the faults that were corrected in it.
        known: the node that we asked about.

    Raises:
        ContractViolation: it is no node, or not the one that we asked about.
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
