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

__all__ = ["Run", "RunState"]


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
        ranked = (node for node in self.nodes if node.attempt == attempt and node.rank != PREREQUISITE)
        return tuple(sorted(ranked, key=lambda node: node.rank))

    @property
    def prerequisites(self) -> tuple[NodeRecord, ...]:
        """What was made once for all nodes of an attempt and may still be there."""
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
