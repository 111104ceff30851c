"""Running the job on a node that we hold: start once, follow to the end, end it when asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import evolve

from lepton_sdk._engine.account import assure
from lepton_sdk._engine.acquire import refusal
from lepton_sdk._engine.environment import describe
from lepton_sdk._engine.failover import PEER, is_judged
from lepton_sdk._engine.late import shown
from lepton_sdk._engine.launcher import launched
from lepton_sdk._engine.limits import is_spent, time_limit
from lepton_sdk._engine.pace import Pace
from lepton_sdk._engine.session import Session
from lepton_sdk._engine.together import together
from lepton_sdk._engine.watchdog import boot_seconds, folder_of, look_at_watchdog
from lepton_sdk._retry import retrying
from lepton_sdk.domain.access import Access
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import (
    JobCancelled,
    JobSpecError,
    LeptonError,
    MarketError,
    NodeError,
    NodeLost,
    NodeUnreachable,
    StaleEpoch,
)
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus, Executor

__all__ = ["begin", "execution_of", "follow", "is_missed", "look_at_boot", "start"]

# How long a node may stay silent before it counts as lost.
_SILENCE_SECONDS = 120.0
_GOING = frozenset({ExecutionState.SETUP, ExecutionState.RUNNING})
# What a provider says of a machine on which nothing runs any more.
_ENDED = frozenset({NodeState.FAILED, NodeState.INTERRUPTED, NodeState.STOPPED, NodeState.GONE})
# A machine whose provider looks at its health is looked at so often while a job runs there.
_HEALTH_SECONDS = 60.0
# So long a system goes on sending what a client left in its buffers, on a connection that nobody answers on (Linux, tcp(7),
# tcp_retries2: 924 s): a start that was never answered may still arrive.
_IN_FLIGHT_SECONDS = 1000.0
_STOPPED = "out of reach for so long that the node has stopped the job by itself"
# A tree of processes that did not end is asked to once more.
_CANCEL_SECONDS = 30.0


def execution_of(session: Session, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Execution:
    """What the executor is told, the same at every call for one start, whoever makes it.

    Only the epoch is that of the client that drives the run now: a node then knows it from one that was overtaken in between.
    """
    epoch, _ = session.claims.get(run.id, (record.epoch, None))
    return Execution(
        run_id=run.id,
        attempt=record.attempt,
        epoch=epoch,
        rank=record.rank,
        job=launched(run.job),
        environment=describe(run, record),
        secrets=secrets,
        time_limit=time_limit(run, record),
        idle_limit=run.job.limits.idle,
        lease=run.job.retry.interruption.unreachable,
        watchdog=folder_of(record),
    )


async def look_at_boot(session: Session, run: Run, record: NodeRecord) -> Run:
    """Look once whether the node can be used: its provider says so, and its watchdog lives if it is to have one.

    It may take as long to boot as its type is known to take. One that does not come by then is given back for the next offer.
    """
    node = record.node
    assert node is not None
    # A listing may tell that is as old as a poll.
    asked_at = session.clock.now() - timedelta(seconds=session.spec(node.provider).timings.poll)
    missing = "not reachable"
    try:
        seen = await retrying(lambda: _seen(session, record, node), session.clock, seconds=_SILENCE_SECONDS)
    except MarketError as error:
        return await _withdrawn(session, run, record, error)
    if seen.state is NodeState.READY and seen.access is not None:
        missing = "its watchdog does not live"
        try:
            lives = await look_at_watchdog(session, run, record, seen)
        except NodeError as error:
            return await _unusable(session, run, record, error.message)
        if lives is not False:
            return await _usable(session, run, record, seen, asked_at, armed=bool(lives))
    if seen.state in _ENDED:
        await assure(session, node.provider)
        return await _write(session, run, record, "node.lost", detail=f"the provider says {seen.state} {seen.detail}")
    boot, now = boot_seconds(session, record.offer), session.clock.now()
    if (now - record.intended_at).total_seconds() > boot:
        return await _unusable(session, run, record, f"{missing} {boot:.0f} seconds after it was asked for")
    if is_spent(run, record, now):
        return await _write(session, run, record, "node.lost", reason="budget")
    return run


async def _seen(session: Session, record: NodeRecord, node: Node) -> Node:
    """The machine as its provider has it: of many that boot, one listing tells. No end is believed of a listing."""
    name = record.offer.provider
    if session.is_busy and node.state is NodeState.PENDING:
        timings = session.spec(name).timings
        listed = (await shown(session, name, timings.poll)).get(node.id)
        if listed is not None and (listed.state is NodeState.PENDING or (listed.state is NodeState.READY and listed.access)):
            return listed
        if listed is None and (session.clock.now() - record.intended_at).total_seconds() < timings.listing_lag:
            return node
    return await session.provider(name).inspect(node)


def is_missed(session: Session, record: NodeRecord) -> bool:
    """Whether the newest listing shows the machine as ended, or not at all: nothing to believe, and a reason to look at once."""
    listed = session.listings.last(record.offer.provider)
    if listed is None or record.node is None:
        return False
    seen = listed.get(record.node.id)
    return seen is None or seen.state in _ENDED


async def _withdrawn(session: Session, run: Run, record: NodeRecord, error: MarketError) -> Run:
    """What was promised never comes: the offer is out as if it had been refused, and what never ran has cost nothing."""
    assert record.node is not None
    free = evolve(record.node, price=record.price and Money("0", record.price.currency))
    return await _given_up(session, run, record, error, node=free.to_dict())


async def _usable(session: Session, run: Run, record: NodeRecord, node: Node, there: datetime, *, armed: bool) -> Run:
    now = session.clock.now()
    rows = [Event("node.armed", run.id, now, record.token)] if armed else []
    data = {"node": node.to_dict(), "there": there.isoformat()}
    return await session.journal.write(*rows, Event("node.reachable", run.id, now, record.token, data))


async def _unusable(session: Session, run: Run, record: NodeRecord, detail: str) -> Run:
    """Nothing ever ran on the machine: it is given back, and the next offer is asked."""
    return await _given_up(session, run, record, NodeLost(detail, provider=record.offer.provider))


async def _given_up(session: Session, run: Run, record: NodeRecord, error: LeptonError, **more: object) -> Run:
    lost = {"detail": error.message, **more}
    if is_judged(run := session.journal.run(run.id)):
        # Another node of the attempt has said already why it failed.
        return await _write(session, run, record, "node.lost", **lost, reason=PEER)
    return await session.journal.write(
        refusal(session, run, record.token, record.offer, error),
        Event("node.lost", run.id, session.clock.now(), record.token, lost | {"seen": record.stage}),
    )


async def start(session: Session, run: Run, epoch: int, secrets: Mapping[str, str]) -> Run:
    """Announce the start on every node of the attempt that is ready for it, then start."""
    now = session.clock.now()
    ready = [member.token for member in run.members if member.stage is Stage.REACHABLE]
    run = await session.journal.write(*(Event("node.running", run.id, now, token, {"epoch": epoch}) for token in ready))
    begun = [begin(session, run, member, secrets) for member in run.members if member.token in ready]
    runs = await together(*begun)
    return runs[0] if len(runs) == 1 else session.journal.run(run.id)


async def begin(session: Session, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Run:
    """Start what was announced. The start is exclusive on the node, so that a second one attaches to the first."""
    access, node = _held(record)
    if missing := [name for name in run.job.secrets if name not in secrets]:
        text = f"the value of the secret {missing[0]} is not here: it is never stored, and the client that had it is gone"
        return await _finished(session, run, record, ExecutionStatus(ExecutionState.FINISHED, reason="refused", detail=text))
    execution = execution_of(session, run, record, secrets)
    executor = session.executor(access)
    try:
        await retrying(lambda: _start_there(session, executor, node, execution), session.clock, seconds=_SILENCE_SECONDS)
    except JobSpecError as error:
        status = ExecutionStatus(ExecutionState.FINISHED, reason="refused", detail=error.message)
        return await _finished(session, run, record, status)
    except JobCancelled as error:
        status = ExecutionStatus(ExecutionState.FINISHED, reason="cancelled", detail=error.message)
        return await _finished(session, run, record, status)
    except StaleEpoch:
        raise
    except NodeError as error:
        return await _write(session, run, record, "node.lost", detail=error.message)
    return run


async def _start_there(session: Session, executor: Executor, node: Node, execution: Execution) -> None:
    try:
        await executor.start(node, execution)
    except NodeUnreachable as error:
        seen = await _told(session, node)
        if seen.state in _ENDED:
            # Nobody has to knock for minutes at what is not there any more.
            raise NodeLost(f"the provider says {seen.state}: {seen.detail or error.message}", provider=node.provider) from error
        raise


async def _told(session: Session, node: Node) -> Node:
    """The machine as its provider has it now, and as it was where nobody can say."""
    try:
        seen = await session.provider(node.provider).inspect(node)
        if seen.state in _ENDED:
            await assure(session, node.provider)
    except LeptonError:
        return node
    return seen


async def follow(session: Session, run: Run, record: NodeRecord, pace: Pace, *, ending: bool, secrets: Mapping[str, str]) -> Run:
    """Look once at the job on one node.

    Args:
        ending: the attempt is over for this node: what runs there is ended.
    """
    access, node = _held(record)
    executor, execution = session.executor(access), execution_of(session, run, record, {})
    asked_at = session.clock.now()
    try:
        status = await executor.poll(node, execution)
        pace.mark("reached", record.token)
        if ending and status.state in _GOING and pace.due("cancel", record.token, _CANCEL_SECONDS):
            await executor.cancel(node, execution)
            status = await executor.poll(node, execution)
    except NodeUnreachable as error:
        status = await _out_of_reach(session, run, record, pace, error, ending=ending)
    else:
        if not ending and (detail := await _sick(session, run, record, pace, status)):
            status = ExecutionStatus(ExecutionState.LOST, detail=detail)
    if len(status.failures) > len(record.failures):
        run = await _write(session, run, record, "node.restarted", failures=list(status.failures))
    match status.state:
        case ExecutionState.FINISHED:
            return await _finished(session, run, record, status, reason=_reason(run, status), there=asked_at)
        case ExecutionState.LOST:
            return await _lost(session, run, record, executor, execution, status)
        case ExecutionState.ABSENT if not ending:
            return await begin(session, run, record, secrets)
        case ExecutionState.ABSENT:
            return await _write(
                session, run, record, "node.releasing", reason=_ended_for(run), detail="it was never started there"
            )
    return run


async def _sick(session: Session, run: Run, record: NodeRecord, pace: Pace, status: ExecutionStatus) -> str:
    """Why the machine itself cannot go on, by the word of a provider that looks at it; empty if it can, or nobody knows.

    A job that failed on a machine that failed did not fail by itself.
    """
    failed = status.state is ExecutionState.FINISHED and status.reason in (None, "", "exit") and status.exit_code != 0
    if not failed and not (status.state in _GOING and pace.due("health", record.token, _HEALTH_SECONDS)):
        return ""
    try:
        if "health" not in session.spec(record.offer.provider).capabilities:
            return ""
        seen = await session.provider(record.offer.provider).inspect(_held(record)[1])
    except LeptonError:
        return ""
    return f"the provider says {seen.state}: {seen.detail}" if seen.state is NodeState.FAILED else ""


def _ended_for(run: Run) -> str:
    return "cancelled" if run.stop_requested else PEER


def _reason(run: Run, status: ExecutionStatus) -> str:
    """The executor knows that an execution was cancelled, and not for whose sake."""
    return _ended_for(run) if status.reason == "cancelled" else status.reason or "exit"


async def _out_of_reach(
    session: Session, run: Run, record: NodeRecord, pace: Pace, error: NodeUnreachable, *, ending: bool
) -> ExecutionStatus:
    """A silent node is not a dead one: only its provider's word, or the node's own time limit, says that the job has ended."""
    assert record.node is not None
    name = record.offer.provider
    if pace.due("inspect", record.token, session.spec(name).timings.poll):
        seen = await _told(session, record.node)
        if seen.state in _ENDED:
            return ExecutionStatus(ExecutionState.LOST, detail=f"the provider says {seen.state}: {seen.detail or error.message}")
    if _has_stopped(run, record, pace):
        return ExecutionStatus(ExecutionState.LOST, reason=_STOPPED, detail=f"{_STOPPED}: {error.message}")
    if ending and not run.stop_requested and run.job.retry.interruption.unreachable is not None:
        # Soon it is certain that nothing runs there any more.
        return ExecutionStatus(ExecutionState.RUNNING)
    if ending:
        words = "stopped while out of reach" if run.stop_requested else "another node failed while this one was out of reach"
        return ExecutionStatus(ExecutionState.LOST, detail=f"{words}: {error.message}")
    limit, began = time_limit(run, record), record.running_at or record.intended_at
    if limit is not None and (session.clock.now() - began).total_seconds() > limit + _SILENCE_SECONDS:
        return ExecutionStatus(ExecutionState.LOST, detail=f"out of reach beyond its time limit: {error.message}")
    return ExecutionStatus(ExecutionState.RUNNING)


def _has_stopped(run: Run, record: NodeRecord, pace: Pace) -> bool:
    """Whether a silent node has certainly stopped the job by itself: its bound is counted from our last word that can have
    reached it, by a clock that nobody sets."""
    bounds = [bound for bound in (run.job.retry.interruption.unreachable, time_limit(run, record)) if bound is not None]
    silent = pace.elapsed("reached", record.token)
    if silent is None:
        pace.due("missed", record.token)
        silent = (pace.elapsed("missed", record.token) or 0.0) - _IN_FLIGHT_SECONDS
    return bool(bounds) and silent > min(bounds) + _SILENCE_SECONDS


async def _lost(
    session: Session,
    run: Run,
    record: NodeRecord,
    executor: Executor,
    execution: Execution,
    status: ExecutionStatus,
) -> Run:
    stopped = {"stopped": True} if status.reason == _STOPPED else {}
    try:
        # What is left of the process tree must not run on unseen.
        await executor.cancel(_held(record)[1], execution)
    except NodeError as error:
        told = status.detail if error.message in status.detail else f"{status.detail}; {error.message}"
        return await _write(session, run, record, "node.lost", detail=told, **stopped)
    return await _write(session, run, record, "node.lost", detail=status.detail or "the job ended without a result")


async def _finished(
    session: Session,
    run: Run,
    record: NodeRecord,
    status: ExecutionStatus,
    reason: str | None = None,
    there: datetime | None = None,
) -> Run:
    """The result, and in the same row group that the node is given back from now on."""
    result = {
        "exit_code": status.exit_code,
        "signal": status.signal,
        "reason": reason or status.reason or "exit",
        "started_at": status.started_at.isoformat() if status.started_at else None,
        "finished_at": status.finished_at.isoformat() if status.finished_at else None,
        "detail": status.detail,
        "there": there.isoformat() if there else None,
        "seen": record.stage,
    }
    now = session.clock.now()
    return await session.journal.write(
        Event("node.finished", run.id, now, record.token, result),
        Event("node.releasing", run.id, now, record.token, {"detail": status.detail}),
    )


def _held(record: NodeRecord) -> tuple[Access, Node]:
    if record.node is None or record.node.access is None:
        raise NodeLost(f"node {record.token} has no way to be reached", provider=record.offer.provider)
    return record.node.access, record.node


async def _write(session: Session, run: Run, record: NodeRecord, kind: str, **data: object) -> Run:
    # Another follower may have gone on meanwhile, and from where the row stands now the same step may be legal and wrong.
    return await session.journal.write(Event(kind, run.id, session.clock.now(), record.token, data | {"seen": record.stage}))
