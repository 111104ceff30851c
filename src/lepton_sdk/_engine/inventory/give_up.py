"""Give a node up by hand: its account can never be opened again, so no provider will ever say that its machine is gone."""

from __future__ import annotations

from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.events import AnyEvent, NodeGivenUp, StopRequested
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.errors import UsageError

__all__ = ["give_up", "words_for"]


async def give_up(engine: Engine, name: str) -> NodeRecord:
    """Close a node's entry without its provider's word, and end its run. The node never counts as released.

    Args:
        name: the node's whole id at its provider, or its whole token.

    Raises:
        UsageError: no open node has this name, or several have.
    """
    record = _named(engine, name)
    rows: list[AnyEvent] = [NodeGivenUp(words_for(record), seen=record.stage).about(record.token)]
    run = engine.journal.run(record.run)
    if not run.state.ended and not run.stop_requested:
        # The given-up machine may still run the job, and another attempt would then run beside it.
        rows.append(StopRequested())
    run = await engine.write(record.run, *rows)
    return next(node for node in run.nodes if node.token == record.token)


def words_for(record: NodeRecord) -> str:
    """The text that says what the node may cost."""
    price = "at an unknown price" if record.price is None else f"at {record.price.display()} an hour"
    if record.lasts is None:
        return f"given up by hand: it may be billed {price} until somebody ends it at {record.offer.provider}"
    return f"given up by hand: it may be billed {price}, for {record.lasts / 3600:.1f} hours in all at most"


def _named(engine: Engine, name: str) -> NodeRecord:
    records = [record for run in engine.journal.runs(open_only=True) for record in run.nodes if record.open]
    found = [r for r in records if name in {r.token, *([r.node.id] if r.node else []), *(one.node.id for one in r.duplicates)}]
    if len(found) == 1:
        return found[0]
    if found:
        tokens = ", ".join(record.token for record in found)
        raise UsageError(f"{name!r} names several nodes: {tokens}", hint="name one by its token")
    raise UsageError(f"no open row has a node {name!r}", hint="lepton nodes shows them; write the whole id")
