"""Rows for the journal's tests."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from attrs import evolve

from lepton_sdk._journal import Journal
from lepton_sdk.domain.events import AnyEvent, NodeIntended, event_of
from lepton_sdk.domain.history import apply
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.run import Run
from lepton_sdk.testing import fake_offer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class FixedClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def plan(run: str) -> AnyEvent:
    return event_of("run.planned", run, NOW, None, {"job": {"command": "true", "name": "job"}})


def intend(run: str, token: str, attempt: int = 1) -> NodeIntended:
    return NodeIntended(attempt, 0, 1, fake_offer(seen_at=NOW), 1).about(token).stamped(run, NOW)


def filled(journal: Journal, runs: int = 3) -> list[str]:
    ids = [new_id(NOW + timedelta(seconds=n), os.urandom(6)) for n in range(runs)]
    for number, run in enumerate(ids):
        journal.append(plan(run))
        journal.append(intend(run, f"token-{number}"))
    return ids


def owned(lasts: float | None = None) -> Run:
    """A run whose one machine is there."""
    first = intend("r", "t")
    run = apply(apply(None, plan("r")), evolve(first, lasts=lasts))
    node = Node("fake", "m", "t", price=fake_offer().price, since=NOW)
    return apply(run, event_of("node.owned", "r", NOW, "t", {"node": node.to_dict()}))
