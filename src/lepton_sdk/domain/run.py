"""Run: one execution of a job, as the journal's entries add up to it (`lepton_sdk.domain.history`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from attrs import fields, frozen

from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.plain import from_plain, to_plain
from lepton_sdk.domain.record import PREREQUISITE, Attempt, NodeRecord
from lepton_sdk.domain.retry import Cause
from lepton_sdk.errors import JobCancelled, JobFailed, JobTimedOut, LeptonError, NodeLost, NoOffers

__all__ = ["Run", "RunState"]


class RunState(StrEnum):
    """The state of a run, as users see it. The last six are final."""

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
        """Return True if nothing more will happen to the run."""
        return self in _ENDED


_ENDED = {
    RunState.SUCCEEDED,
    RunState.FAILED,
    RunState.STOPPED,
    RunState.TIMED_OUT,
    RunState.LOST,
    RunState.REFUSED,
}

# How a run that did not succeed ended, as the error for its caller. The class has the exit code, too.
_ERRORS: dict[RunState, type[LeptonError]] = {
    RunState.FAILED: JobFailed,
    RunState.TIMED_OUT: JobTimedOut,
    RunState.STOPPED: JobCancelled,
    RunState.LOST: NodeLost,
    RunState.REFUSED: NoOffers,
}


@frozen
class Run:
    """One execution of a job.

    Attributes:
        nodes: every node of every attempt, in order.
        history: why earlier attempts did not end the run.
        started_at: when the job's own first process began, by the node's clock; ``None`` before that.
        exit_code: the job's own; 128 + signal when a signal ended it.
        stop_now: wait for nothing any more, not even for log and outputs.
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
        """How many attempts have begun."""
        return max((node.attempt for node in self.nodes), default=0)

    @cached_property
    def members(self) -> tuple[NodeRecord, ...]:
        """The nodes of the newest attempt, by rank."""
        attempt = self.attempts
        ranked = (node for node in self.nodes if node.attempt == attempt and node.rank != PREREQUISITE)
        return tuple(sorted(ranked, key=lambda node: node.rank))

    @property
    def prerequisites(self) -> tuple[NodeRecord, ...]:
        """The prerequisites that were made once for all nodes of an attempt and may still exist."""
        return tuple(node for node in self.nodes if node.rank == PREREQUISITE and node.awaited)

    @property
    def current(self) -> NodeRecord | None:
        """The first node of the newest attempt."""
        return next(iter(self.members), None)

    def failures(self, *causes: Cause) -> tuple[Attempt, ...]:
        """The attempts that ended for one of ``causes``."""
        return tuple(attempt for attempt in self.history if attempt.cause in causes)

    @property
    def provider(self) -> str | None:
        """The provider of the newest attempt."""
        return self.current.offer.provider if self.current else None

    def cost(self, now: datetime) -> Money | None:
        """The sum over all nodes; ``None`` if a price is unknown."""
        return _sum([node.cost(now) for node in self.nodes])

    def cost_least(self, now: datetime) -> Money | None:
        """The same, but machines that were found gone count only for the time in which they were certainly there."""
        return _sum([node.cost_least(now) for node in self.nodes])

    def cost_most(self, now: datetime) -> Money | None:
        """The same, with every machine that may still turn up, or that came and went unseen."""
        return _sum([node.cost_most(now) for node in self.nodes])

    def raise_for_state(self) -> None:
        """Raise when the run did not succeed; an open run raises nothing.

        Raises:
            JobFailed, JobTimedOut, JobCancelled, NodeLost, NoOffers: how the run ended.
        """
        if error := _ERRORS.get(self.state):
            text = f"run {self.id} {self.state}" + (f": {self.error}" if self.error else "")
            raise error(text, provider=self.provider, hint=f"lepton logs {self.id}")

    @property
    def exit_status(self) -> int:
        """What ``lepton run`` exits with: the job's own exit code, else the code for the run's state (130 for an open run)."""
        if self.exit_code is not None:
            return self.exit_code
        if self.state is RunState.SUCCEEDED:
            return 0
        return _ERRORS.get(self.state, JobCancelled).exit_code

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
        """Every field, as the journal stores it."""
        return {one.name: to_plain(getattr(self, one.name)) for one in fields(type(self))}

    @classmethod
    def from_record(cls, data: Mapping[str, Any]) -> Run:
        """The reverse of `to_record`."""
        return from_plain(cls, data)


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
        "queued": node.queued or None,
    }
