"""Running the job on a node that we hold: start once, follow to the end, end it when asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import evolve

from lepton_sdk._engine.calls.bounded import ask_node, bounded, words_of
from lepton_sdk._engine.calls.gate import checked_status
from lepton_sdk._engine.claims.renewal import is_ours
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.launch.budget import is_spent, time_limit
from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk._engine.polling import Throttle
from lepton_sdk._engine.providers import inspected
from lepton_sdk._engine.runs.attempts import PEER
from lepton_sdk._engine.runs.boot import ENDED
from lepton_sdk._engine.tasks import gather_all
from lepton_sdk._retry import retrying
from lepton_sdk.domain.access import Access
from lepton_sdk.domain.node import Node, NodeState, Stage
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import (
    JobCancelled,
    JobSpecError,
    JournalError,
    LeptonError,
    NodeGarbled,
    NodeLost,
    NodeUnreachable,
    StaleEpoch,
)
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus, Executor

__all__ = ["begin", "follow", "has_stopped", "is_overdue", "start"]

# How long a node may stay silent before it counts as lost.
_SILENCE_SECONDS = 120.0
# A start that no limit of the job ends.
_LONGEST_START = 86400.0
_GOING = frozenset({ExecutionState.SETUP, ExecutionState.RUNNING})
# A machine whose provider looks at its health is looked at so often while a job runs there.
_HEALTH_SECONDS = 60.0
# So long a system goes on sending what a client left in its buffers, on a connection that nobody answers on (Linux, tcp(7),
# tcp_retries2: 924 s): a start that was never answered may still arrive.
_IN_FLIGHT_SECONDS = 1000.0
_STOPPED = "out of reach for so long that the node has stopped the job by itself"
# A tree of processes that did not end is asked to once more.
_CANCEL_SECONDS = 30.0


async def start(engine: Engine, run: Run, epoch: int, secrets: Mapping[str, str]) -> Run:
    """Announce the start on every node of the attempt that is ready for it, then start."""
    now = engine.clock.now()
    ready = [member.token for member in run.members if member.stage is Stage.REACHABLE]
    run = await engine.journal.write(*(Event("node.running", run.id, now, token, {"epoch": epoch}) for token in ready))
    begun = [begin(engine, run, member, secrets) for member in run.members if member.token in ready]
    runs = await gather_all(*begun)
    return runs[0] if len(runs) == 1 else engine.journal.run(run.id)


async def begin(engine: Engine, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Run:
    """Start what was announced. The start is exclusive on the node, so that a second one attaches to the first."""
    _, node = _held(record)
    if missing := [name for name in run.job.secrets if name not in secrets]:
        text = f"the value of the secret {missing[0]} is not here: it is never stored, and the client that had it is gone"
        return await _finished(engine, run, record, ExecutionStatus(ExecutionState.FINISHED, reason="refused", detail=text))
    execution = execution_of(engine, run, record, secrets)

    async def knock() -> None:
        await retrying(lambda: _start_there(engine, record, node, execution), engine.clock, seconds=_SILENCE_SECONDS)

    # A workdir may take hours to send, and no longer than the job itself may.
    seconds = (time_limit(run, record) or _LONGEST_START) + _SILENCE_SECONDS
    try:
        await bounded(knock, seconds, engine.clock)
    except JobSpecError as error:
        status = ExecutionStatus(ExecutionState.FINISHED, reason="refused", detail=words_of(error))
        return await _finished(engine, run, record, status)
    except JobCancelled as error:
        status = ExecutionStatus(ExecutionState.FINISHED, reason="cancelled", detail=words_of(error))
        return await _finished(engine, run, record, status)
    except JournalError:
        raise
    except StaleEpoch as error:
        # It is the node's word. Where the journal says that nobody has taken over, somebody there has made it up.
        if run.id not in engine.claims or not is_ours(engine, run.id):
            raise
        return await _write(engine, run, record, "node.lost", detail=words_of(error))
    except Exception as error:
        return await _write(engine, run, record, "node.lost", detail=words_of(error))
    return run


async def _start_there(engine: Engine, record: NodeRecord, node: Node, execution: Execution) -> None:
    try:
        await _executor(engine, record, _held(record)[0]).start(node, execution)
    except NodeUnreachable as error:
        seen = await _told(engine, node)
        if seen.state in ENDED:
            # Nobody has to knock for minutes at what is not there any more.
            detail = seen.detail or words_of(error)
            raise NodeLost(f"the provider says {seen.state}: {detail}", provider=node.provider) from error
        raise


async def _told(engine: Engine, node: Node) -> Node:
    """The machine as its provider has it now, and as it was where nobody can say."""
    try:
        seen = await inspected(engine, node)
        if seen.state in ENDED:
            await assure(engine, node.provider)
    except LeptonError:
        return node
    return seen


async def follow(
    engine: Engine, run: Run, record: NodeRecord, pace: Throttle, *, ending: bool, secrets: Mapping[str, str]
) -> Run:
    """Look once at the job on one node.

    Whatever the node, its executor or their plugin does is an answer: an error of any class, nonsense and silence all mean that
    the node says nothing of use.

    Args:
        ending: the attempt is over for this node: what runs there is ended.
    """
    asked_at = engine.clock.now()
    overdue = is_overdue(run, record, engine.clock.now())
    try:
        status = await _looked(engine, run, record, pace, ending=ending or overdue)
        pace.mark("reached", record.token)
        pace.forget("silent", record.token)
        pace.forget("garbled", record.token)
    except NodeUnreachable as error:
        pace.mark("silent", record.token)
        status = await _out_of_reach(engine, run, record, pace, error, ending=ending)
    else:
        if overdue and status.state in (*_GOING, ExecutionState.ABSENT):
            # The node ends its job by itself, and this one says that it goes on.
            text = "it went on beyond its time limit"
            return await _finished(engine, run, record, evolve(status, state="finished", detail=text), reason="timeout")
        if not ending and (detail := await _sick(engine, run, record, pace, status)):
            status = ExecutionStatus(ExecutionState.LOST, detail=detail)
    if len(status.failures) > len(record.failures):
        run = await _write(engine, run, record, "node.restarted", failures=list(status.failures))
    match status.state:
        case ExecutionState.FINISHED:
            return await _finished(engine, run, record, status, reason=_reason(run, status, overdue=overdue), there=asked_at)
        case ExecutionState.LOST:
            return await _lost(engine, run, record, pace, status)
        case ExecutionState.ABSENT if not ending:
            return await begin(engine, run, record, secrets)
        case ExecutionState.ABSENT:
            return await _write(
                engine, run, record, "node.releasing", reason=_ended_for(run), detail="it was never started there"
            )
    if ending and not pace.due("ending", record.token):
        # It was asked to end, and says that it runs on: nobody asks again, the machine goes back.
        reason = None if run.stop_requested else PEER
        status = ExecutionStatus(ExecutionState.LOST, reason=reason, detail="it did not end when asked to")
        return await _lost(engine, run, record, pace, status)
    return run


async def _looked(engine: Engine, run: Run, record: NodeRecord, pace: Throttle, *, ending: bool) -> ExecutionStatus:
    """What the node says of its job; with ``ending`` what runs there is ended first.

    Raises:
        NodeUnreachable: nothing of use.
    """
    access, node = _held(record)
    execution, patience = execution_of(engine, run, record, {}), engine.patience
    name = f"{record.offer.provider} {node.id}"

    async def poll() -> ExecutionStatus:
        return checked_status(await _executor(engine, record, access).poll(node, execution))

    async def cancel() -> None:
        await _executor(engine, record, access).cancel(node, execution)

    hurry = engine.hurry(run.id) if ending else None
    question = patience.answer if ending else patience.question
    status = await ask_node(f"asking {name} for its job", poll, question, engine.clock, hurry=hurry)
    if ending and status.state in _GOING and pace.due("cancel", record.token, _CANCEL_SECONDS):
        is_own = "local" in engine.spec(record.offer.provider).capabilities
        seconds = patience.ending_own if is_own else patience.ending
        await ask_node(f"ending the job on {name}", cancel, seconds, engine.clock, hurry=hurry)
        status = await ask_node(f"asking {name} for its job", poll, question, engine.clock, hurry=hurry)
    return status


def _executor(engine: Engine, record: NodeRecord, access: Access) -> Executor:
    if record.hung:
        raise NodeUnreachable(
            f"{record.hung} blocked whoever asked it about this node", hint="its machine is given back without it"
        )
    return engine.executor(access)


def is_overdue(run: Run, record: NodeRecord, now: datetime) -> bool:
    """Whether the job is beyond its limits by our own clock: the node's word is not needed for that."""
    limit, began = time_limit(run, record), record.running_at or record.intended_at
    if limit is not None and (now - began).total_seconds() > limit + _SILENCE_SECONDS:
        return True
    return is_spent(run, record, now)


async def _sick(engine: Engine, run: Run, record: NodeRecord, pace: Throttle, status: ExecutionStatus) -> str:
    """Why the machine itself cannot go on, by the word of a provider that looks at it; empty if it can, or nobody knows.

    A job that failed on a machine that failed did not fail by itself.
    """
    failed = status.state is ExecutionState.FINISHED and status.reason in (None, "", "exit") and status.exit_code != 0
    if not failed and not (status.state in _GOING and pace.due("health", record.token, _HEALTH_SECONDS)):
        return ""
    try:
        if "health" not in engine.spec(record.offer.provider).capabilities:
            return ""
        seen = await inspected(engine, _held(record)[1])
    except LeptonError:
        return ""
    return f"the provider says {seen.state}: {seen.detail}" if seen.state is NodeState.FAILED else ""


def _ended_for(run: Run) -> str:
    return "cancelled" if run.stop_requested else PEER


def _reason(run: Run, status: ExecutionStatus, *, overdue: bool) -> str:
    """The executor knows that an execution was cancelled, and not for whose sake."""
    if status.reason != "cancelled":
        return status.reason or "exit"
    return "timeout" if overdue and not run.stop_requested else _ended_for(run)


async def _out_of_reach(
    engine: Engine, run: Run, record: NodeRecord, pace: Throttle, error: NodeUnreachable, *, ending: bool
) -> ExecutionStatus:
    """A silent node is not a dead one: only its provider's word, or the node's own time limit, says that the job has ended."""
    assert record.node is not None
    name = record.offer.provider
    if pace.due("inspect", record.token, engine.spec(name).timings.poll):
        seen = await _told(engine, record.node)
        if seen.state in ENDED:
            return ExecutionStatus(ExecutionState.LOST, detail=f"the provider says {seen.state}: {seen.detail or error.message}")
    if has_stopped(run, record, pace):
        return ExecutionStatus(ExecutionState.LOST, reason=_STOPPED, detail=f"{_STOPPED}: {error.message}")
    if ending:
        words = "stopped while out of reach" if run.stop_requested else "another node failed while this one was out of reach"
        return ExecutionStatus(ExecutionState.LOST, detail=f"{words}: {error.message}")
    if is_overdue(run, record, engine.clock.now()):
        return ExecutionStatus(ExecutionState.LOST, detail=f"out of reach beyond its time limit: {error.message}")
    if record.hung or _is_past_hope(record, pace, error):
        return ExecutionStatus(ExecutionState.LOST, detail=error.message)
    return ExecutionStatus(ExecutionState.RUNNING)


def _is_past_hope(record: NodeRecord, pace: Throttle, error: NodeUnreachable) -> bool:
    """Whether the node has said nothing but nonsense for two minutes.

    A silent node may only be cut off, and its job goes on. One that answers and cannot be understood will never say that its job
    is over.
    """
    if isinstance(error, NodeGarbled):
        pace.due("garbled", record.token)
    return (pace.elapsed("garbled", record.token) or 0.0) > _SILENCE_SECONDS


def has_stopped(run: Run, record: NodeRecord, pace: Throttle) -> bool:
    """Whether a silent node has certainly stopped the job by itself: its bound is counted from our last word that can have
    reached it, by a clock that nobody sets."""
    bounds = [bound for bound in (run.job.retry.interruption.unreachable, time_limit(run, record)) if bound is not None]
    silent = pace.elapsed("reached", record.token)
    if silent is None:
        pace.due("missed", record.token)
        silent = (pace.elapsed("missed", record.token) or 0.0) - _IN_FLIGHT_SECONDS
    return bool(bounds) and silent > min(bounds) + _SILENCE_SECONDS


async def _lost(engine: Engine, run: Run, record: NodeRecord, pace: Throttle, status: ExecutionStatus) -> Run:
    more: dict[str, object] = {"stopped": True} if status.reason == _STOPPED else {}
    if status.reason == PEER:
        # Another node of the attempt says why it failed. One that is out of reach may be why the others failed.
        more["reason"] = PEER
    detail = status.detail or "the job ended without a result"
    if pace.elapsed("silent", record.token) is None:
        access, node = _held(record)
        hurry, execution = engine.hurry(run.id), execution_of(engine, run, record, {})
        try:
            # What is left of the process tree must not run on unseen.
            await ask_node(
                "ending what is left of it",
                lambda: _executor(engine, record, access).cancel(node, execution),
                engine.patience.ending,
                engine.clock,
                hurry=hurry,
            )
        except NodeUnreachable as error:
            detail = detail if error.message in detail else f"{detail}; {error.message}"
    return await _write(engine, run, record, "node.lost", detail=detail, **more)


async def _finished(
    engine: Engine,
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
    now = engine.clock.now()
    return await engine.journal.write(
        Event("node.finished", run.id, now, record.token, result),
        Event("node.releasing", run.id, now, record.token, {"detail": status.detail}),
    )


def _held(record: NodeRecord) -> tuple[Access, Node]:
    if record.node is None or record.node.access is None:
        raise NodeLost(f"node {record.token} has no way to be reached", provider=record.offer.provider)
    return record.node.access, record.node


async def _write(engine: Engine, run: Run, record: NodeRecord, kind: str, **data: object) -> Run:
    # Another follower may have gone on meanwhile, and from where the row stands now the same step may be legal and wrong.
    return await engine.journal.write(Event(kind, run.id, engine.clock.now(), record.token, data | {"seen": record.stage}))
