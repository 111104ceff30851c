"""Giving a machine back: again and again until its provider says that it is gone."""

from __future__ import annotations

from lepton_sdk._engine.failover import after
from lepton_sdk._engine.output import keep_log
from lepton_sdk._engine.session import Session
from lepton_sdk._retry import retrying
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.run import Event, NodeRecord, Run

__all__ = ["release"]

_PATIENCE_SECONDS = 600.0


async def release(session: Session, run: Run, record: NodeRecord, *, wait: bool) -> Run:
    """Release the node; with it the run ends, when nothing more is to be tried."""
    if record.stage is not Stage.RELEASING:
        run = session.journal.append(Event("node.releasing", run.id, session.clock.now(), record.token))
    if record.node is not None:
        await keep_log(session, run, record)
        node = await _give_back(session, record, record.node, wait=wait)
        if node.state is not NodeState.GONE:
            return run
    released = Event("node.released", run.id, session.clock.now(), record.token, {"detail": record.detail})
    return session.journal.append(released, *after(run, record, session.clock.now()))


async def _give_back(session: Session, record: NodeRecord, node: Node, *, wait: bool) -> Node:
    provider = session.provider(record.offer.provider)
    pause = session.spec(record.offer.provider).timings.poll
    while True:
        answer = await retrying(lambda: provider.release(node), session.clock, seconds=_PATIENCE_SECONDS)
        if answer.state is NodeState.GONE or not wait:
            return answer
        await session.clock.sleep(pause)
