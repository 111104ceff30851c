"""Giving a machine back: again and again until its provider says that it is gone.

Between the wish to release and the provider stand the journal's row and one bounded attempt to keep log and outputs. Nothing
that a node or an executor says or does here can hold the machine.
"""

from __future__ import annotations

from contextlib import suppress

from lepton_sdk._engine.calls.bounded import ask_node, words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.output.keep import keep
from lepton_sdk._engine.polling import Throttle
from lepton_sdk._engine.providers import released
from lepton_sdk._engine.runs.attempts import after
from lepton_sdk._engine.runs.execute import has_stopped
from lepton_sdk._retry import retrying
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import LeptonError, NodeUnreachable
from lepton_sdk.spi.capabilities import Forgetting

__all__ = ["release"]

_PATIENCE_SECONDS = 600.0
# A machine that nobody can ask, and on which nothing runs, is left to a later sweep after so long.
_LEAVING_SECONDS = 60.0


async def release(engine: Engine, run: Run, record: NodeRecord, pace: Throttle, *, reason: str | None = None) -> Run:
    """Ask once for the node to be given back. With the attempt's last node the run ends, when nothing more is to be tried.

    Args:
        reason: why a node that did not end by itself is given back.
    """
    if record.stage is not Stage.RELEASING:
        data = {"seen": record.stage} | ({"reason": reason} if reason else {})
        run = await engine.journal.write(Event("node.releasing", run.id, engine.clock.now(), record.token, data))
    if (node := record.node) is not None:
        if pace.due("keep", record.token):
            run = await keep(engine, run, record, silent=pace.elapsed("silent", record.token) is not None or record.stopped)
        asked_at = engine.clock.now()
        try:
            answer = await _give_back(engine, node, _patience(run, record))
        except LeptonError as error:
            if record.stopped or has_stopped(run, record, pace):
                return await _leave(engine, run, record, error)
            if run.job.retry.interruption.unreachable is not None and not run.stop_requested:
                # Soon it is certain that nothing runs there any more, and then the run may go on without it.
                return run
            raise
        if answer.state is not NodeState.GONE:
            pace.there[record.token] = asked_at
            return run
        # In another account everything is gone.
        await assure(engine, node.provider)
        await _forget(engine, node)
    now, run = engine.clock.now(), engine.journal.run(run.id)
    there = pace.there.get(record.token)
    gone = Event("node.released", run.id, now, record.token, {"there": there.isoformat()} if there else {})
    return await engine.journal.write(gone, *(() if _others(run, record) else after(run, now)))


async def _forget(engine: Engine, node: Node) -> None:
    """What was pinned for a machine goes with it: its address may be another machine's tomorrow."""

    async def forget() -> None:
        executor = engine.executor(node.access) if node.access is not None else None
        if isinstance(executor, Forgetting):
            await executor.forget(node)

    with suppress(NodeUnreachable):
        await ask_node(f"forgetting {node.id}", forget, engine.patience.answer, engine.clock)


def _patience(run: Run, record: NodeRecord) -> float:
    if record.stopped or run.job.retry.interruption.unreachable is not None:
        return _LEAVING_SECONDS
    return _PATIENCE_SECONDS


def _others(run: Run, record: NodeRecord) -> bool:
    return any(member.awaited for member in run.members if member.token != record.token)


async def _leave(engine: Engine, run: Run, record: NodeRecord, error: LeptonError) -> Run:
    """Go on without it: its row stays open until a sweep has given it back."""
    now, run = engine.clock.now(), engine.journal.run(run.id)
    words = words_of(error)
    engine.tell(
        f"run {run.id}: {record.offer.provider} cannot give back a machine that is out of reach ({words}); its job has "
        "stopped there by itself, and the run goes on; next: lepton nodes shows the machine, lepton follow gives it back"
    )
    left = Event("node.left", run.id, now, record.token, {"detail": words, "stopped": True})
    return await engine.journal.write(left, *(() if _others(run, record) else after(run, now)))


async def _give_back(engine: Engine, node: Node, seconds: float) -> Node:
    return await retrying(lambda: released(engine, node), engine.clock, seconds=seconds)
