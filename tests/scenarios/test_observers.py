"""Observers narrow, re-rank, watch and redact; one that answers nonsense is told and left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job
from lepton_sdk._plugins.observers import new_manager, register
from lepton_sdk.errors import NoCapacity
from lepton_sdk.spi.hookspecs import hookimpl
from lepton_sdk.testing import FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]


class Careful:
    """Wants the north, and the dearest first."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def filter_offers(self, job: Job) -> Mapping[str, object]:
        return {"regions": ["north"]}

    @hookimpl
    def rescore(self, job: Job, candidates: Sequence[Mapping[str, Any]]) -> Sequence[float]:
        return [-float(candidate["price_per_hour"]) for candidate in candidates]

    @hookimpl
    def on_transition(self, event: Mapping[str, Any]) -> None:
        self.seen.append(event["kind"])

    @hookimpl
    def redact(self, text: str) -> str:
        return text.replace("s3cr3t", "…")


class Confused:
    """Answers what nobody can use."""

    @hookimpl
    def filter_offers(self, job: Job) -> Mapping[str, object]:
        return {"colour": "red"}

    @hookimpl
    def rescore(self, job: Job, candidates: Sequence[Mapping[str, Any]]) -> Sequence[float]:
        return [1.0] * 1000


@pytest.fixture
def cloud(tmp_path: Path) -> FakeProvider:
    from lepton_sdk import Money

    rows = [("a", "north", 20), ("b", "north", 30), ("c", "south", 16)]
    offers = [fake_offer(name, region=region, price=Money(price)) for name, region, price in rows]
    return FakeProvider(tmp_path / "cloud", offers, faults=[NoCapacity("key s3cr3t has none left")])


def watched(client: Client, observer: object) -> Client:
    manager = new_manager()
    register(manager, "watcher", observer, lambda reason: None)
    registry = client._client._engine.registry
    registry._observers, registry._observers_made = manager, True
    return client


def test_observers_narrow_rank_watch_and_redact(cloud: FakeProvider, make_client: MakeClient) -> None:
    observer = Careful()
    client = watched(make_client(cloud), observer)
    job = Job("true", resources={"gpu": "H100:8", "providers": ["fake"]})
    plan = client.route(job)
    assert [candidate.offer.instance_type for candidate in plan] == ["b", "a"]
    assert any(loss.reason == "outside the regions" for loss in plan.explain())
    run = client.run(job)
    assert [attempt.message for attempt in run.history] == ["key … has none left"]
    assert run.current is not None
    assert run.current.offer.instance_type == "a"
    assert observer.seen[0] == "run.planned"
    assert observer.seen[-1] == "run.finished"


def test_nonsense_is_told_and_left_out(cloud: FakeProvider, make_client: MakeClient) -> None:
    client = watched(make_client(cloud), Confused())
    plan = client.route(Job("true", resources={"gpu": "H100:8", "providers": ["fake"]}))
    assert [candidate.offer.instance_type for candidate in plan] == ["c", "a", "b"]
    assert len(client.warnings()) == 2
