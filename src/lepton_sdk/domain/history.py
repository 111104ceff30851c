"""What each entry of the journal changes in a run: one pure function, `apply`, over one class for each kind of entry.

The journal stores the result of `apply` beside the entries, and can rebuild it from the entries alone at any time. If you add a
kind of entry or a stage, the type checker names every place that must know it.
"""

from __future__ import annotations

from typing import Any, assert_never

from attrs import evolve

from lepton_sdk.domain.events import (
    AnyEvent,
    AnyNote,
    AnyStep,
    AttemptFailed,
    NodeAdmitted,
    NodeAnnounced,
    NodeArmed,
    NodeDuplicate,
    NodeFinished,
    NodeGivenUp,
    NodeHung,
    NodeIntended,
    NodeLeft,
    NodeLost,
    NodeOwned,
    NodeQueued,
    NodeReachable,
    NodeReleased,
    NodeReleasing,
    NodeRepeated,
    NodeRestarted,
    NodeRunning,
    NodeUnkept,
    NodeUnknown,
    NodeUnresolved,
    RunFinished,
    RunPlanned,
    Step,
    StopRequested,
)
from lepton_sdk.domain.record import PREREQUISITE, Attempt, NodeRecord
from lepton_sdk.domain.run import Run, RunState
from lepton_sdk.domain.stage import BEFORE_THE_JOB, STAGES, Stage
from lepton_sdk.errors import ContractViolation

__all__ = ["apply"]


def apply(run: Run | None, event: AnyEvent) -> Run:
    """The run after ``event``.

    Raises:
        ContractViolation: the event is not legal now; the journal refuses to write it.
    """
    if isinstance(event, RunPlanned):
        if run is not None:
            raise ContractViolation(f"run {event.run} was planned before")
        return Run(id=event.run, job=event.job, created_at=event.at)
    if run is None or (run.state.ended and not _may_follow_the_end(run, event)):
        raise ContractViolation(f"{event.kind} cannot follow on run {event.run}: it has {'ended' if run else 'no plan'}")
    match event:
        case StopRequested():
            return evolve(run, stop_requested=True, stop_now=run.stop_now or event.now)
        case RunFinished():
            return _finish(run, event)
        case AttemptFailed():
            return evolve(run, history=(*run.history, _attempt(event)))
        case NodeDuplicate():
            return _duplicate(run, event)
        case NodeGivenUp():
            return _give_up(run, event)
        case NodeLeft():
            return _leave(run, event)
        case Step():
            return _step(run, event)
        case _:
            return _noted(run, event.token, **_noted_by(run, event))


def _may_follow_the_end(run: Run, event: AnyEvent) -> bool:
    """Return True for entries that may follow the run's end: its late nodes may turn up, be given back or be given up."""
    if isinstance(event, NodeDuplicate | NodeGivenUp):
        return True
    return isinstance(event, Step) and any(node.token == event.token and node.late for node in run.nodes)


# --- of a run ---------------------------------------------------------------------------------------------------------


def _finish(run: Run, event: RunFinished) -> Run:
    if any(node.awaited for node in run.nodes):
        raise ContractViolation(f"run {run.id} cannot end while a node of it may cost something")
    return evolve(
        run,
        state=RunState(event.state),
        exit_code=event.exit_code,
        signal=event.signal,
        error=event.error,
        finished_at=event.at,
    )


def _attempt(event: AttemptFailed) -> Attempt:
    return Attempt(
        number=event.number,
        provider=event.provider,
        instance_type=event.instance_type,
        error=event.error,
        message=event.message,
        blocked=event.blocked,
        next=event.next,
        cause=event.cause,
        at=event.at.isoformat(),
        wait=event.wait,
    )


# --- notes about a node -----------------------------------------------------------------------------------------------


def _noted(run: Run, token: str | None, **changes: Any) -> Run:
    return evolve(run, nodes=tuple(evolve(node, **changes) if node.token == token else node for node in run.nodes))


def _noted_by(run: Run, event: AnyNote) -> dict[str, Any]:
    """The fields that a note changes in a node's record. A note moves no node to another stage."""
    match event:
        case NodeAnnounced():
            known = next((node.announced for node in run.nodes if node.token == event.token), ())
            return {"announced": (*known, f"{event.thing} {event.name}")}
        case NodeRepeated():
            return {"repeated_at": event.at}
        case NodeQueued():
            first = next((node.queued_at for node in run.nodes if node.token == event.token), None)
            return {"queued": event.detail or "queued", "queued_at": first or event.at}
        case NodeAdmitted():
            return {"queued": "", "admitted_at": event.at}
        case NodeArmed():
            return {"armed_at": event.at}
        case NodeRestarted():
            return {"failures": event.failures}
        case NodeUnkept():
            return {"unkept": event.unkept}
        case NodeHung():
            return {"hung": event.plugin}
        case _:
            assert_never(event)


def _leave(run: Run, event: NodeLeft) -> Run:
    """Leave a node: another one may execute before this one is given back, because nothing runs here any more."""
    node = next((node for node in run.nodes if node.token == event.token), None)
    stopped = node is not None and (node.stopped or event.stopped)
    if node is None or not stopped or node.stage is not Stage.RELEASING:
        raise ContractViolation(f"node {event.token} of run {run.id} cannot be left: its job may run on there")
    return _noted(run, event.token, late=True, stopped=True)


def _give_up(run: Run, event: NodeGivenUp) -> Run:
    """Give a node up: nobody waits for it, and nothing says that it is gone, so the most that it may cost still grows."""
    if not any(node.token == event.token and node.open for node in run.nodes):
        raise ContractViolation(f"node {event.token} of run {run.id} holds nothing that could be given up")
    return _noted(run, event.token, given_up_at=event.at, detail=event.detail)


def _duplicate(run: Run, event: NodeDuplicate) -> Run:
    record = next((node for node in run.nodes if node.token == event.token), None)
    if record is None:
        raise ContractViolation(f"run {run.id} has no node {event.token} that another machine could double")
    if record.node is not None and record.node.id == event.node.id and not event.gone:
        raise ContractViolation(f"{record.node.id} is the machine of node {event.token} itself, and doubles nothing")
    doubled = record.with_duplicate(event.node, event.there or event.at, event.at, gone=event.gone)
    return evolve(run, nodes=tuple(doubled if node is record else node for node in run.nodes))


# --- steps of a node --------------------------------------------------------------------------------------------------


def _step(run: Run, event: AnyStep) -> Run:
    known = {node.token: node for node in run.nodes}
    before = known.get(event.token or "")
    stage = before.stage if before else None
    if event.stage not in STAGES[stage]:
        raise ContractViolation(f"node {event.token} cannot go from {stage or 'nothing'} to {event.stage}")
    if before is not None and before.given_up_at is not None and event.stage is not Stage.RELEASED:
        raise ContractViolation(f"node {event.token} was given up: nothing is done with it any more")
    if before is not None and event.seen not in (None, stage):
        # The step is legal from here as well, but it was decided from a stage that is no longer true.
        raise ContractViolation(f"node {event.token} was {event.seen} when {event.stage} was decided, and is {stage}")
    node = _moved(run, before, event)
    known[node.token] = node
    after = evolve(run, nodes=tuple(known.values()))
    if run.state.ended:
        return after
    state = RunState.STOPPING if run.stop_requested else _seen(after)
    # Until a node has told when its first process began, use the time of the start's own entry.
    started_at = next((n.started_at or n.running_at for n in after.nodes if n.started_at or n.running_at), None)
    return evolve(after, state=state, started_at=started_at)


def _seen(run: Run) -> RunState:
    """The state that users see for a run with these nodes in its newest attempt."""
    stages = {node.stage for node in run.members}
    if stages & BEFORE_THE_JOB and not any(node.failed for node in run.members):
        return RunState.STARTING
    return RunState.RUNNING if Stage.RUNNING in stages else RunState.STOPPING


def _moved(run: Run, before: NodeRecord | None, event: AnyStep) -> NodeRecord:
    """The node's record after its step."""
    if isinstance(event, NodeIntended):
        return _intended(run, event)
    assert before is not None
    ending = isinstance(event, NodeReleasing | NodeReleased)
    changes: dict[str, Any] = {"stage": event.stage, "detail": event.detail or (before.detail if ending else "")}
    if event.reason:
        changes["reason"] = event.reason
    if event.node is not None:
        changes["node"] = event.node
    if event.there is not None:
        changes["there_at"] = event.there
    return evolve(before, **changes | _changed_by(before, event))


def _changed_by(before: NodeRecord, event: AnyStep) -> dict[str, Any]:
    """The fields that one kind of step changes besides the stage."""
    match event:
        case NodeOwned():
            if event.node.id in {one.node.id for one in before.duplicates}:
                text = f"{event.node.id} doubles another machine of node {before.token}, and is being given back"
                raise ContractViolation(text)
            return {}
        case NodeRunning():
            return {"running_at": event.at, "epoch": event.epoch, "executor": event.executor}
        case NodeUnknown():
            # The create call of an owned node was answered in time, with an id that names nothing of ours.
            return {"node": None} if before.stage is Stage.OWNED else {"unknown_at": event.at}
        case NodeUnresolved():
            return {"late": True}
        case NodeLost():
            return {"stopped": event.stopped}
        case NodeReleased():
            return {"released_at": event.at, "unseen": event.unseen, "queued": ""}
        case NodeFinished():
            told = {"started_at": event.started_at, "finished_at": event.finished_at}
            return told | {"exit_code": event.exit_code, "signal": event.signal, "reason": event.reason}
        case NodeIntended() | NodeReachable() | NodeReleasing():
            return {}
        case _:
            assert_never(event)


def _intended(run: Run, event: NodeIntended) -> NodeRecord:
    if any(other.awaited and other.rank == event.rank for other in run.nodes):
        raise ContractViolation(f"rank {event.rank} of run {run.id} has a node that is not given back")
    again = any((one.attempt, one.rank) == (event.attempt, event.rank) for one in run.nodes)
    if event.rank != PREREQUISITE and (event.attempt < run.attempts or again):
        # A follower that slept asks for it too late: nobody would drive a node of an attempt that is over.
        raise ContractViolation(f"rank {event.rank} of run {run.id} has had its attempt {event.attempt}")
    return NodeRecord(
        token=event.token or "",
        run=event.run,
        attempt=event.attempt,
        rank=event.rank,
        epoch=event.epoch,
        offer=event.offer,
        stage=Stage.INTENDED,
        intended_at=event.at,
        increment=event.increment,
        lasts=event.lasts,
        owner=event.owner,
        group=event.group,
        budget=event.budget,
    )
