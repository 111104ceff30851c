"""Giving a machine back: again and again until its provider says that it is gone."""

from __future__ import annotations

from lepton_sdk._engine.account import assure
from lepton_sdk._engine.failover import after
from lepton_sdk._engine.output import keep_log, keep_outputs
from lepton_sdk._engine.pace import Pace
from lepton_sdk._engine.session import Session
from lepton_sdk._retry import retrying
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import LeptonError

__all__ = ["release"]

_PATIENCE_SECONDS = 600.0
# A machine that nobody can ask, and on which nothing runs, is left to a later sweep after so long.
_LEAVING_SECONDS = 60.0


async def release(session: Session, run: Run, record: NodeRecord, pace: Pace, *, reason: str | None = None) -> Run:
    """Ask once for the node to be given back. With the attempt's last node the run ends, when nothing more is to be tried.

    Args:
        reason: why a node that did not end by itself is given back.
    """
    if record.stage is not Stage.RELEASING:
        data = {"seen": record.stage} | ({"reason": reason} if reason else {})
        run = await session.journal.write(Event("node.releasing", run.id, session.clock.now(), record.token, data))
    if (node := record.node) is not None:
        if pace.due("keep", record.token):
            await keep_log(session, run, record)
            await keep_outputs(session, run, record)
        asked_at = session.clock.now()
        try:
            answer = await _give_back(session, node, _LEAVING_SECONDS if record.stopped else _PATIENCE_SECONDS)
        except LeptonError as error:
            if record.stopped:
                return await _leave(session, run, record, error)
            raise
        if answer.state is not NodeState.GONE:
            pace.there[record.token] = asked_at
            return run
        # In another account everything is gone.
        await assure(session, node.provider)
    now, run = session.clock.now(), session.journal.run(run.id)
    there = pace.there.get(record.token)
    released = Event("node.released", run.id, now, record.token, {"there": there.isoformat()} if there else {})
    return await session.journal.write(released, *(() if _others(run, record) else after(run, now)))


def _others(run: Run, record: NodeRecord) -> bool:
    return any(member.awaited for member in run.members if member.token != record.token)


async def _leave(session: Session, run: Run, record: NodeRecord, error: LeptonError) -> Run:
    """Go on without it: its row stays open until a sweep has given it back."""
    now, run = session.clock.now(), session.journal.run(run.id)
    session.tell(
        f"run {run.id}: {record.offer.provider} cannot give back a machine that is out of reach ({error.message}); its job has "
        "stopped there by itself, and the run goes on; next: lepton nodes shows the machine, lepton follow gives it back"
    )
    left = Event("node.left", run.id, now, record.token, {"detail": error.message})
    return await session.journal.write(left, *(() if _others(run, record) else after(run, now)))


async def _give_back(session: Session, node: Node, seconds: float) -> Node:
    provider = session.provider(node.provider)
    return await retrying(lambda: provider.release(node), session.clock, seconds=seconds)
