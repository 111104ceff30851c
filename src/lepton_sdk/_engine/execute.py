"""Running the job on a node that we hold: start once, follow to the end, end it when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from lepton_sdk._engine.environment import describe
from lepton_sdk._engine.session import Session
from lepton_sdk._retry import retrying
from lepton_sdk.domain.access import Access
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import JobCancelled, JobSpecError, LeptonError, NodeError, NodeLost, NodeUnreachable, StaleEpoch
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus, Executor

__all__ = ["await_reachable", "begin", "execution_of", "follow", "start"]

# How long a node may stay silent before it counts as lost.
_SILENCE_SECONDS = 120.0
_GOING = frozenset({ExecutionState.SETUP, ExecutionState.RUNNING})
# What a provider says of a machine on which nothing runs any more.
_ENDED = frozenset({NodeState.FAILED, NodeState.INTERRUPTED, NodeState.STOPPED, NodeState.GONE})
_SHORTEST_LOOK, _LONGEST_LOOK = 0.003, 0.5


def execution_of(session: Session, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Execution:
    """What the executor is told, the same at every call for one start."""
    return Execution(
        run_id=run.id,
        attempt=record.attempt,
        epoch=record.epoch,
        rank=record.rank,
        job=run.job,
        environment=describe(run, record),
        secrets=secrets,
        time_limit=time_limit(run, record),
    )


def time_limit(run: Run, record: NodeRecord) -> float | None:
    """Seconds that the job may run: its own limit, and what its total budget buys at the node's price."""
    limits = run.job.limits
    bounds = [float(limits.duration)] if limits.duration else []
    if limits.total is not None and record.price is not None and record.price.amount > 0:
        hours = limits.total.amount / (record.price.amount * Decimal(run.job.nodes))
        bounds.append(float(hours * 3600))
    return min(bounds, default=None)


async def await_reachable(session: Session, run: Run, record: NodeRecord, *, wait: bool) -> Run:
    """Ask the provider until the node can be reached, for as long as the type may take to boot."""
    assert record.node is not None
    provider, timings = session.provider(record.offer.provider), session.spec(record.offer.provider).timings
    boot = timings.boot_by_type.get(record.offer.instance_type, timings.boot)
    while True:
        node = await retrying(lambda: provider.inspect(record.node), session.clock, seconds=_SILENCE_SECONDS)  # type: ignore[arg-type]
        if node.state is NodeState.READY and node.access is not None:
            return _write(session, run, record, "node.reachable", node=node.to_dict())
        if node.state in _ENDED:
            return _write(session, run, record, "node.lost", detail=f"the provider says {node.state} {node.detail}")
        if (session.clock.now() - record.intended_at).total_seconds() > boot:
            return _write(session, run, record, "node.lost", detail=f"not reachable within {boot:.0f} seconds")
        if not wait:
            return run
        await session.clock.sleep(timings.poll)


async def start(session: Session, run: Run, record: NodeRecord, epoch: int, secrets: Mapping[str, str]) -> Run:
    """Announce the start, then start."""
    run = _write(session, run, record, "node.running", epoch=epoch)
    return await begin(session, run, _again(run, record), secrets)


async def begin(session: Session, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Run:
    """Start what was announced. The start is exclusive on the node, so that a second one attaches to the first."""
    access, node = _held(record)
    if missing := [name for name in run.job.secrets if name not in secrets]:
        text = f"the value of the secret {missing[0]} is not here: it is never stored, and the client that had it is gone"
        return _finished(session, run, record, ExecutionStatus(ExecutionState.FINISHED, reason="refused", detail=text))
    execution = execution_of(session, run, record, secrets)
    executor = session.executor(access)
    try:
        await retrying(lambda: executor.start(node, execution), session.clock, seconds=_SILENCE_SECONDS)
    except JobSpecError as error:
        status = ExecutionStatus(ExecutionState.FINISHED, reason="refused", detail=error.message)
        return _finished(session, run, record, status)
    except JobCancelled as error:
        status = ExecutionStatus(ExecutionState.FINISHED, reason="cancelled", detail=error.message)
        return _finished(session, run, record, status)
    except StaleEpoch:
        raise
    except NodeError as error:
        return _write(session, run, record, "node.lost", detail=error.message)
    return run


async def follow(
    session: Session,
    run: Run,
    record: NodeRecord,
    *,
    wait: bool,
    stop_requested: Callable[[], bool],
    secrets: Mapping[str, str],
) -> Run:
    """Look at the job until it has ended, and end it when the run was asked to stop."""
    access, node = _held(record)
    executor, execution = session.executor(access), execution_of(session, run, record, {})
    pause = _SHORTEST_LOOK
    cancelled = False
    while True:
        try:
            status = await executor.poll(node, execution)
            if stop_requested() and not cancelled and status.state in _GOING:
                await executor.cancel(node, execution)
                cancelled, pause = True, _SHORTEST_LOOK
                continue
        except NodeUnreachable as error:
            status = await _out_of_reach(session, run, record, error, stop_requested=stop_requested())
        match status.state:
            case ExecutionState.FINISHED:
                return _finished(session, run, record, status)
            case ExecutionState.LOST:
                return await _lost(session, run, record, executor, execution, status)
            case ExecutionState.ABSENT:
                return await begin(session, run, record, secrets)
        if not wait:
            return run
        await session.clock.sleep(pause)
        pause = min(_LONGEST_LOOK, pause * 1.3)


async def _out_of_reach(
    session: Session, run: Run, record: NodeRecord, error: NodeUnreachable, *, stop_requested: bool
) -> ExecutionStatus:
    """A silent node is not a dead one: only its provider's word, or the node's own time limit, says that the job has ended."""
    assert record.node is not None
    try:
        seen = await session.provider(record.offer.provider).inspect(record.node)
    except LeptonError:
        seen = record.node
    if seen.state in _ENDED:
        return ExecutionStatus(ExecutionState.LOST, detail=f"the provider says {seen.state}: {seen.detail or error.message}")
    if stop_requested:
        return ExecutionStatus(ExecutionState.LOST, detail=f"stopped while out of reach: {error.message}")
    limit, began = time_limit(run, record), record.running_at or record.intended_at
    if limit is not None and (session.clock.now() - began).total_seconds() > limit + _SILENCE_SECONDS:
        return ExecutionStatus(ExecutionState.LOST, detail=f"out of reach beyond its time limit: {error.message}")
    return ExecutionStatus(ExecutionState.RUNNING)


async def _lost(
    session: Session,
    run: Run,
    record: NodeRecord,
    executor: Executor,
    execution: Execution,
    status: ExecutionStatus,
) -> Run:
    try:
        # What is left of the process tree must not run on unseen.
        await executor.cancel(_held(record)[1], execution)
    except NodeError as error:
        return _write(session, run, record, "node.lost", detail=f"{status.detail}; {error.message}")
    return _write(session, run, record, "node.lost", detail=status.detail or "the job ended without a result")


def _finished(session: Session, run: Run, record: NodeRecord, status: ExecutionStatus) -> Run:
    """The result, and in the same row group that the node is given back from now on."""
    result = {
        "exit_code": status.exit_code,
        "signal": status.signal,
        "reason": status.reason or "exit",
        "started_at": status.started_at.isoformat() if status.started_at else None,
        "finished_at": status.finished_at.isoformat() if status.finished_at else None,
        "detail": status.detail,
    }
    now = session.clock.now()
    return session.journal.append(
        Event("node.finished", run.id, now, record.token, result),
        Event("node.releasing", run.id, now, record.token, {"detail": status.detail}),
    )


def _held(record: NodeRecord) -> tuple[Access, Node]:
    if record.node is None or record.node.access is None:
        raise NodeLost(f"node {record.token} has no way to be reached", provider=record.offer.provider)
    return record.node.access, record.node


def _again(run: Run, record: NodeRecord) -> NodeRecord:
    return next(node for node in run.nodes if node.token == record.token)


def _write(session: Session, run: Run, record: NodeRecord, kind: str, **data: object) -> Run:
    return session.journal.append(Event(kind, run.id, session.clock.now(), record.token, data))
