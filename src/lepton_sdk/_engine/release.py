"""Giving a machine back: again and again until its provider says that it is gone."""

from __future__ import annotations

from lepton_sdk._engine.session import Session
from lepton_sdk._retry import retrying
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.run import Event, NodeRecord, Run

__all__ = ["ending", "release"]

_PATIENCE_SECONDS = 600.0


async def release(session: Session, run: Run, record: NodeRecord, *, wait: bool) -> Run:
    """Release the node; with it the run ends, when nothing more is to be tried."""
    if record.stage is not Stage.RELEASING:
        run = session.journal.append(Event("node.releasing", run.id, session.clock.now(), record.token))
    if record.node is not None:
        node = await _give_back(session, record, record.node, wait=wait)
        if node.state is not NodeState.GONE:
            return run
    released = Event("node.released", run.id, session.clock.now(), record.token, {"detail": record.detail})
    if (end := ending(session, run, record)) is None:
        return session.journal.append(released)
    return session.journal.append(released, end)


async def _give_back(session: Session, record: NodeRecord, node: Node, *, wait: bool) -> Node:
    provider = session.provider(record.offer.provider)
    pause = session.spec(record.offer.provider).timings.poll
    while True:
        answer = await retrying(lambda: provider.release(node), session.clock, seconds=_PATIENCE_SECONDS)
        if answer.state is NodeState.GONE or not wait:
            return answer
        await session.clock.sleep(pause)


# What a run is called after its node told how the job ended.
_BY_REASON = {"timeout": "timed-out", "cancelled": "stopped", "setup": "failed", "refused": "failed"}
_WORDS = {
    "timeout": "the job reached its time limit and was ended",
    "cancelled": "the run was stopped on request",
    "setup": "setup ended with exit code {}",
    "refused": "the job could not be started",
}


def ending(session: Session, run: Run, record: NodeRecord) -> Event | None:
    """The run's last row after this node, or ``None`` when another attempt is due."""
    reason, code = record.reason, record.exit_code
    if reason is not None:
        state = _BY_REASON.get(reason) or ("succeeded" if code == 0 else "failed")
        words = _WORDS.get(reason, "").format(code)
        error = f"{words}: {record.detail}" if words and record.detail else words or None
    elif run.stop_requested:
        state, error = "stopped", _WORDS["cancelled"]
    elif record.node is not None:
        state, error = "lost", record.detail or "the node was lost"
    else:
        return None
    result = {"state": state, "exit_code": code, "signal": record.signal, "error": error}
    return Event("run.finished", run.id, session.clock.now(), None, result)
