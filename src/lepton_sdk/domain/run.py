"""Run: one execution of a job, rebuilt from the journal's events by one pure function.

`apply` takes a run and the next event and gives the run after it. The journal stores what `apply` returned beside the
events, so the record can be made again from the events alone at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from attrs import evolve, frozen

from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import STAGES, Node, Stage
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.record import Attempt, Event, NodeRecord, read_time
from lepton_sdk.domain.retry import Cause
from lepton_sdk.errors import ContractViolation

__all__ = ["Attempt", "Event", "NodeRecord", "Run", "RunState", "apply"]


class RunState(StrEnum):
    """What a person wants to know of a run. The last six are final."""

    PLANNED = "planned"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed-out"
    LOST = "lost"
    REFUSED = "refused"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self in _ENDED


_ENDED = {
    RunState.SUCCEEDED,
    RunState.FAILED,
    RunState.STOPPED,
    RunState.TIMED_OUT,
    RunState.LOST,
    RunState.REFUSED,
}


@frozen
class Run:
    """One execution of a job.

    Attributes:
        nodes: every node of every attempt, in order.
        history: why earlier attempts did not end the run.
        started_at: when the job's own first process began, as the node's clock says; ``None`` before that.
        exit_code: the job's own; 128 + signal when a signal ended it.
        stop_now: nothing is to be waited for any more, also not for log and outputs.
    """

    id: str
    job: Job
    created_at: datetime
    state: RunState = RunState.PLANNED
    nodes: tuple[NodeRecord, ...] = ()
    history: tuple[Attempt, ...] = ()
    stop_requested: bool = False
    exit_code: int | None = None
    signal: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stop_now: bool = False

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    @cached_property
    def attempts(self) -> int:
        """How many attempts were begun."""
        return max((node.attempt for node in self.nodes), default=0)

    @cached_property
    def members(self) -> tuple[NodeRecord, ...]:
        """The nodes of the newest attempt, by rank."""
        attempt = self.attempts
        return tuple(sorted((n for n in self.nodes if n.attempt == attempt), key=lambda node: node.rank))

    @property
    def current(self) -> NodeRecord | None:
        """The first node of the newest attempt."""
        return next(iter(self.members), None)

    def failures(self, *causes: Cause) -> tuple[Attempt, ...]:
        """The attempts that ended for one of ``causes``."""
        return tuple(attempt for attempt in self.history if attempt.cause in causes)

    @property
    def provider(self) -> str | None:
        """Where the newest attempt is or was."""
        return self.current.offer.provider if self.current else None

    def cost(self, now: datetime) -> Money | None:
        """The sum over all nodes; ``None`` while a price is unknown."""
        return _sum([node.cost(now) for node in self.nodes])

    def cost_least(self, now: datetime) -> Money | None:
        """The same, of machines that were found gone only the time for which they were certainly there."""
        return _sum([node.cost_least(now) for node in self.nodes])

    def cost_most(self, now: datetime) -> Money | None:
        """The same with everything in it that may still turn up, or came and went unseen."""
        return _sum([node.cost_most(now) for node in self.nodes])

    def to_dict(self, now: datetime) -> dict[str, object]:
        """The stable JSON keys of ``lepton run`` and ``lepton ps``."""
        cost, least, most = self.cost(now), self.cost_least(now), self.cost_most(now)
        return {
            "id": self.id,
            "name": self.name,
            "state": str(self.state),
            "exit_code": self.exit_code,
            "signal": self.signal,
            "attempts": self.attempts,
            "provider": self.provider,
            "instance_type": self.current.offer.instance_type if self.current else None,
            "cost": None if cost is None else str(cost),
            "cost_at_least": None if least is None else str(least),
            "cost_at_most": None if most is None else str(most),
            "currency": None if cost is None else cost.currency,
            "created_at": self.created_at.isoformat(),
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "error": self.error,
            "nodes": [_shown(node) for node in self.members],
            "history": [attempt.to_dict() for attempt in self.history],
        }

    def to_record(self) -> dict[str, object]:
        """Every field, as the journal keeps it."""
        return {
            "id": self.id,
            "job": self.job.to_dict(),
            "created_at": self.created_at.isoformat(),
            "state": str(self.state),
            "nodes": [node.to_dict() for node in self.nodes],
            "history": [attempt.to_dict() for attempt in self.history],
            "stop_requested": self.stop_requested,
            "stop_now": self.stop_now,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "error": self.error,
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
        }

    @classmethod
    def from_record(cls, data: Mapping[str, Any]) -> Run:
        """The reverse of `to_record`."""
        values = dict(data)
        for name in ("created_at", "started_at", "finished_at"):
            values[name] = read_time(values[name])
        values["job"] = Job.from_dict(values["job"])
        values["state"] = RunState(values["state"])
        values["nodes"] = tuple(NodeRecord.from_dict(node) for node in values["nodes"])
        values["history"] = tuple(Attempt(**attempt) for attempt in values["history"])
        return cls(**values)


def _sum(costs: list[Money | None]) -> Money | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(costs) else None


def _shown(node: NodeRecord) -> dict[str, object]:
    return {
        "rank": node.rank,
        "id": node.node.id if node.node else None,
        "stage": str(node.stage),
        "exit_code": node.exit_code,
        "signal": node.signal,
        "reason": node.reason,
        "failures": list(node.failures),
        "unkept": list(node.unkept),
        "given_up_at": node.given_up_at.isoformat() if node.given_up_at else None,
    }


_STEPS = frozenset(f"node.{stage}" for stage in Stage)
_NOT_YET = frozenset({Stage.INTENDED, Stage.UNKNOWN, Stage.OWNED, Stage.REACHABLE})


def _seen(members: tuple[NodeRecord, ...]) -> RunState:
    """What a person sees of a run whose newest attempt has these nodes."""
    stages = {node.stage for node in members}
    if stages & _NOT_YET and not any(node.failed for node in members):
        return RunState.STARTING
    return RunState.RUNNING if Stage.RUNNING in stages else RunState.STOPPING


def apply(run: Run | None, event: Event) -> Run:
    """The run after ``event``.

    Raises:
        ContractViolation: the event is not legal now; the journal refuses to write it.
    """
    if event.kind == "run.planned":
        if run is not None:
            raise ContractViolation(f"run {event.run} was planned before")
        return Run(id=event.run, job=Job.from_dict(event.data["job"]), created_at=event.at)
    if run is not None and event.kind == "node.duplicate":
        return _duplicate(run, event)
    if run is not None and event.kind == "node.given-up":
        return _give_up(run, event)
    if run is not None and run.state.ended and event.kind in _STEPS and any(n.token == event.token and n.late for n in run.nodes):
        return _step(run, event)
    if run is None or run.state.ended:
        raise ContractViolation(f"{event.kind} cannot follow on run {event.run}: it has {'ended' if run else 'no plan'}")
    if event.kind == "run.stop":
        return evolve(run, stop_requested=True, stop_now=run.stop_now or bool(event.data.get("now")))
    if event.kind == "run.finished":
        return _finish(run, event)
    if event.kind == "attempt.failed":
        return evolve(run, history=(*run.history, Attempt(**event.data, at=event.at.isoformat())))
    if event.kind == "node.announced":
        return _announce(run, event)
    if event.kind == "node.armed":
        return _noted(run, event, armed_at=event.at)
    if event.kind == "node.restarted":
        return _noted(run, event, failures=tuple(event.data["failures"]))
    if event.kind == "node.unkept":
        return _noted(run, event, unkept=tuple(event.data["unkept"]))
    if event.kind == "node.hung":
        return _noted(run, event, hung=event.data["plugin"])
    if event.kind == "node.left":
        return _leave(run, event)
    return _step(run, event)


def _leave(run: Run, event: Event) -> Run:
    """Another node may execute before this one is given back: it was seen to that nothing runs there any more."""
    node = next((node for node in run.nodes if node.token == event.token), None)
    stopped = node is not None and (node.stopped or event.data.get("stopped") is True)
    if node is None or not stopped or node.stage is not Stage.RELEASING:
        raise ContractViolation(f"node {event.token} of run {run.id} cannot be left: its job may run on there")
    return _noted(run, event, late=True, stopped=True)


def _give_up(run: Run, event: Event) -> Run:
    """Nobody waits for it any more, and nothing says that it is gone: what it may cost is counted on at most."""
    if not any(node.token == event.token and node.open for node in run.nodes):
        raise ContractViolation(f"node {event.token} of run {run.id} holds nothing that could be given up")
    return _noted(run, event, given_up_at=event.at, detail=event.data.get("detail", ""))


def _finish(run: Run, event: Event) -> Run:
    if any(node.awaited for node in run.nodes):
        raise ContractViolation(f"run {run.id} cannot end while a node of it may cost something")
    return evolve(
        run,
        state=RunState(event.data["state"]),
        exit_code=event.data.get("exit_code"),
        signal=event.data.get("signal"),
        error=event.data.get("error"),
        finished_at=event.at,
    )


def _announce(run: Run, event: Event) -> Run:
    thing = f"{event.data['kind']} {event.data['name']}"
    nodes = [evolve(n, announced=(*n.announced, thing)) if n.token == event.token else n for n in run.nodes]
    return evolve(run, nodes=tuple(nodes))


def _noted(run: Run, event: Event, **changes: Any) -> Run:
    return evolve(run, nodes=tuple(evolve(node, **changes) if node.token == event.token else node for node in run.nodes))


def _duplicate(run: Run, event: Event) -> Run:
    record = next((node for node in run.nodes if node.token == event.token), None)
    if record is None:
        raise ContractViolation(f"run {run.id} has no node {event.token} that another machine could double")
    if record.node is not None and record.node.id == event.data["node"]["id"] and not event.data.get("gone"):
        raise ContractViolation(f"{record.node.id} is the machine of node {event.token} itself, and doubles nothing")
    nodes = (n.with_duplicate(event.data, event.at) if n.token == event.token else n for n in run.nodes)
    return evolve(run, nodes=tuple(nodes))


def _step(run: Run, event: Event) -> Run:
    stage = Stage(event.kind.removeprefix("node."))
    known = {node.token: node for node in run.nodes}
    before = known.get(event.token or "")
    if stage not in STAGES[before.stage if before else None]:
        raise ContractViolation(f"node {event.token} cannot go from {before.stage if before else 'nothing'} to {stage}")
    if before is not None and before.given_up_at is not None and stage is not Stage.RELEASED:
        raise ContractViolation(f"node {event.token} was given up: nothing is done with it any more")
    if before is not None and event.data.get("seen", before.stage) != before.stage:
        # Legal from here as well, and decided on what is true no more.
        raise ContractViolation(f"node {event.token} was {event.data['seen']} when {stage} was decided, and is {before.stage}")
    node = _intend(run, event) if before is None else _advance(before, stage, event)
    known[node.token] = node
    after = evolve(run, nodes=tuple(known.values()))
    if run.state.ended:
        return after
    state = RunState.STOPPING if run.stop_requested else _seen(after.members)
    # Until a node has told when its first process began, the start's own row is the best there is.
    started_at = next((n.started_at or n.running_at for n in after.nodes if n.started_at or n.running_at), None)
    return evolve(after, state=state, started_at=started_at)


def _intend(run: Run, event: Event) -> NodeRecord:
    node = _intended(event)
    if any(other.awaited and other.rank == node.rank for other in run.nodes):
        raise ContractViolation(f"rank {node.rank} of run {run.id} has a node that is not given back")
    if node.attempt < run.attempts or any((one.attempt, one.rank) == (node.attempt, node.rank) for one in run.nodes):
        # Asked for by a follower that slept through it: nobody would look after a node of an attempt that is over.
        raise ContractViolation(f"rank {node.rank} of run {run.id} has had its attempt {node.attempt}")
    return node


def _intended(event: Event) -> NodeRecord:
    data = event.data
    return NodeRecord(
        token=event.token or "",
        run=event.run,
        attempt=data["attempt"],
        rank=data["rank"],
        epoch=data["epoch"],
        offer=Offer.from_dict(data["offer"]),
        stage=Stage.INTENDED,
        intended_at=event.at,
        increment=data["increment"],
        lasts=data.get("lasts"),
    )


def _advance(before: NodeRecord, stage: Stage, event: Event) -> NodeRecord:
    data = event.data
    kept = before.detail if stage in {Stage.RELEASING, Stage.RELEASED} else ""
    changes: dict[str, Any] = {"stage": stage, "detail": data.get("detail") or kept}
    if data.get("reason"):
        changes["reason"] = data["reason"]
    if data.get("node"):
        changes["node"] = node = Node.from_dict(data["node"])
        if stage is Stage.OWNED and node.id in {one.node.id for one in before.duplicates}:
            raise ContractViolation(f"{node.id} doubles another machine of node {before.token}, and is being given back")
    if data.get("there"):
        changes["there_at"] = read_time(data["there"])
    if stage is Stage.RUNNING:
        changes |= {"running_at": event.at, "epoch": data["epoch"]}
    if stage is Stage.UNKNOWN:
        # What was owned answered in time, under an id that names nothing of ours.
        changes |= {"node": None} if before.stage is Stage.OWNED else {"unknown_at": event.at}
    if stage is Stage.UNRESOLVED:
        changes["late"] = True
    if stage is Stage.LOST:
        changes["stopped"] = data.get("stopped", False)
    if stage is Stage.RELEASED:
        changes |= {"released_at": event.at, "unseen": data.get("unseen", 0)}
    if stage is Stage.FINISHED:
        changes |= {name: data.get(name) for name in ("exit_code", "signal", "reason")}
        changes |= {name: read_time(data.get(name)) for name in ("started_at", "finished_at")}
    return evolve(before, **changes)
