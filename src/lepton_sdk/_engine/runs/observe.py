"""Poll the job on a node until it ends. Begin with `observe`, which polls once.

It ends the job when the run is stopped, when another node has failed, or when the job is beyond its limits. It calls the node
lost when nobody can say what became of the job. Whatever the node, its executor or their plugin does is an answer: an error
of any class, nonsense and silence all mean that the node says nothing of use.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import evolve

from lepton_sdk._engine.calls.bounded import ask_node
from lepton_sdk._engine.calls.gate import checked_status
from lepton_sdk._engine.launch.budget import is_spent, time_limit
from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.providers import inspected
from lepton_sdk._engine.runs.attempts import PEER
from lepton_sdk._engine.runs.boot import ENDED
from lepton_sdk._engine.runs.execute import begin, provider_word
from lepton_sdk.domain.events import NodeFinished, NodeLost, NodeReleasing, NodeRestarted
from lepton_sdk.domain.node import NodeState
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import LeptonError, NodeGarbled, NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["has_stopped", "is_overdue", "observe"]

_GOING = frozenset({ExecutionState.SETUP, ExecutionState.RUNNING})
_STOPPED = "out of reach for so long that the node has stopped the job by itself"


async def observe(member: Member, *, ending: bool, secrets: Mapping[str, str]) -> Run:
    """Poll the job on one node once.

    Args:
        ending: the attempt is over for this node, so end what runs there.
    """
    asked_at, overdue = member.now(), is_overdue(member)
    try:
        status = await _polled(member, ending=ending or overdue)
    except NodeUnreachable as error:
        member.mark("silent")
        status = await _out_of_reach(member, error, ending=ending)
    else:
        member.mark("reached")
        member.forget("silent")
        member.forget("garbled")
        if overdue and status.state in (*_GOING, ExecutionState.ABSENT):
            # The node should have ended the job by itself, but it says that the job goes on.
            text = "it went on beyond its time limit"
            return await _finished(member, evolve(status, state="finished", detail=text), "timeout")
        if not ending and (detail := await _sick(member, status)):
            status = ExecutionStatus(ExecutionState.LOST, detail=detail)
    if len(status.failures) > len(member.record.failures):
        member = member.in_run(await member.write(NodeRestarted(tuple(status.failures))))
    match status.state:
        case ExecutionState.FINISHED:
            return await _finished(member, status, _reason(member.run, status, overdue=overdue), asked_at)
        case ExecutionState.LOST:
            return await _lost(member, status)
        case ExecutionState.ABSENT if not ending:
            return await begin(member, secrets)
        case ExecutionState.ABSENT:
            return await member.step(NodeReleasing("it was never started there", reason=_ended_for(member.run)))
        case ExecutionState.SETUP | ExecutionState.RUNNING:
            return await _goes_on(member, ending=ending)


async def _goes_on(member: Member, *, ending: bool) -> Run:
    if ending and not member.due("ending"):
        # The job was asked to end, and still runs. Do not ask again: give the machine back.
        reason = None if member.run.stop_requested else PEER
        return await _lost(member, ExecutionStatus(ExecutionState.LOST, reason=reason, detail="it did not end when asked to"))
    return member.run


async def _polled(member: Member, *, ending: bool) -> ExecutionStatus:
    """The node's answer about its job. With ``ending``, a job that still runs is ended and asked about again.

    Raises:
        NodeUnreachable: the node said nothing of use.
    """
    node, timing, clock = member.node, member.engine.timing, member.engine.clock
    execution = execution_of(member.engine, member.run, member.record, {})

    async def poll() -> ExecutionStatus:
        return checked_status(await member.executor.poll(node, execution))

    async def cancel() -> None:
        await member.executor.cancel(node, execution)

    hurry = member.hurry if ending else None
    question = timing.answer if ending else timing.question
    status = await ask_node(f"asking {member.title} for its job", poll, question, clock, hurry=hurry)
    if ending and status.state in _GOING and member.due("cancel", timing.cancel_again):
        seconds = timing.ending_own if "local" in member.spec.capabilities else timing.ending
        await ask_node(f"ending the job on {member.title}", cancel, seconds, clock, hurry=hurry)
        status = await ask_node(f"asking {member.title} for its job", poll, question, clock, hurry=hurry)
    return status


def is_overdue(member: Member) -> bool:
    """Return True if the job is beyond its limits by our own clock. The node's word is not needed for that."""
    run, record, now = member.run, member.record, member.now()
    limit, began = time_limit(run, record), record.running_at or record.intended_at
    if limit is not None and (now - began).total_seconds() > limit + member.engine.timing.silence:
        return True
    return is_spent(run, record, now)


async def _sick(member: Member, status: ExecutionStatus) -> str:
    """Why the machine itself cannot go on, from its provider's health check; empty if it can, or if nobody knows.

    If the machine failed, the job on it did not fail by itself.
    """
    failed = status.state is ExecutionState.FINISHED and status.reason in (None, "", "exit") and status.exit_code != 0
    if not failed and not (status.state in _GOING and member.due("health", member.engine.timing.health)):
        return ""
    try:
        if "health" not in member.spec.capabilities:
            return ""
        seen = await inspected(member.engine, member.node)
    except LeptonError:
        return ""
    return f"the provider says {seen.state}: {seen.detail}" if seen.state is NodeState.FAILED else ""


def _ended_for(run: Run) -> str:
    return "cancelled" if run.stop_requested else PEER


def _reason(run: Run, status: ExecutionStatus, *, overdue: bool) -> str:
    """The reason of the job's end. The executor knows that an execution was cancelled, but not why."""
    if status.reason != "cancelled":
        return status.reason or "exit"
    return "timeout" if overdue and not run.stop_requested else _ended_for(run)


async def _out_of_reach(member: Member, error: NodeUnreachable, *, ending: bool) -> ExecutionStatus:
    """A silent node is not a dead one. Only its provider's word or the node's own time limit says that the job has ended."""
    if member.due("inspect", member.spec.timings.poll):
        seen = await provider_word(member.engine, member.node)
        if seen.state in ENDED:
            return ExecutionStatus(ExecutionState.LOST, detail=f"the provider says {seen.state}: {seen.detail or error.message}")
    if has_stopped(member):
        return ExecutionStatus(ExecutionState.LOST, reason=_STOPPED, detail=f"{_STOPPED}: {error.message}")
    if ending:
        asked = member.run.stop_requested
        words = "stopped while out of reach" if asked else "another node failed while this one was out of reach"
        return ExecutionStatus(ExecutionState.LOST, detail=f"{words}: {error.message}")
    if is_overdue(member):
        return ExecutionStatus(ExecutionState.LOST, detail=f"out of reach beyond its time limit: {error.message}")
    if member.record.hung or _is_past_hope(member, error):
        return ExecutionStatus(ExecutionState.LOST, detail=error.message)
    return ExecutionStatus(ExecutionState.RUNNING)


def _is_past_hope(member: Member, error: NodeUnreachable) -> bool:
    """Return True if the node has said nothing but nonsense for two minutes.

    A silent node may only be cut off while its job goes on. A node whose answers make no sense will never say that its job
    is over.
    """
    if isinstance(error, NodeGarbled):
        member.due("garbled")
    return (member.elapsed("garbled") or 0.0) > member.engine.timing.silence


def has_stopped(member: Member) -> bool:
    """Return True if a silent node has certainly stopped the job by itself.

    The time counts from our last message that can have reached the node, by a clock that nobody sets.
    """
    run, timing = member.run, member.engine.timing
    limits = (run.job.retry.interruption.unreachable, time_limit(run, member.record))
    bounds = [bound for bound in limits if bound is not None]
    silent = member.elapsed("reached")
    if silent is None:
        member.due("missed")
        silent = (member.elapsed("missed") or 0.0) - timing.in_flight
    return bool(bounds) and silent > min(bounds) + timing.silence


async def _lost(member: Member, status: ExecutionStatus) -> Run:
    detail = status.detail or "the job ended without a result"
    if member.elapsed("silent") is None:
        node, execution = member.node, execution_of(member.engine, member.run, member.record, {})
        try:
            # The rest of the process tree must not go on unseen.
            await ask_node(
                "ending what is left of it",
                lambda: member.executor.cancel(node, execution),
                member.engine.timing.ending,
                member.engine.clock,
                hurry=member.hurry,
            )
        except NodeUnreachable as error:
            detail = detail if error.message in detail else f"{detail}; {error.message}"
    # Another node of the attempt says why it failed. But a node out of reach may be the reason why the others failed.
    reason = PEER if status.reason == PEER else None
    return await member.step(NodeLost(detail, stopped=status.reason == _STOPPED, reason=reason))


async def _finished(member: Member, status: ExecutionStatus, reason: str, there: datetime | None = None) -> Run:
    """Write the result, and in the same transaction that the node is given back from now on."""
    result = NodeFinished(
        exit_code=status.exit_code,
        signal=status.signal,
        reason=reason,
        started_at=status.started_at,
        finished_at=status.finished_at,
        detail=status.detail,
        there=there,
        seen=member.record.stage,
    )
    return await member.write(result, NodeReleasing(status.detail))
