"""Create calls of plugins that do not go through the context's client: without a mark they count as left."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, Node, RunState
from lepton_sdk._config import load_config
from lepton_sdk._engine.calls.create import Withdrawn, create_call, departure_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import LeptonError, OutcomeUnknown, PluginBroken
from lepton_sdk.spi.blocking import Threaded
from lepton_sdk.spi.provider import Launch
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer


def bug() -> Any:
    nothing: dict[str, Any] = {}
    return nothing["id"]


def launch() -> Launch:
    async def announce(kind: str, name: str, *, shared: bool = False) -> None:
        await asyncio.sleep(0)

    return Launch("me", "t1", "r1", "job", 1, 0, Resources(), None, announce)


class Sdk:
    """A blocking SDK's provider: nothing of it goes through the context's client."""

    def __init__(self, marks: bool, fails: str) -> None:
        self.marks, self.fails, self.made = marks, fails, 0
        self.go = threading.Event()
        self.go.set()

    def acquire(self, offer: Offer, launch: Launch, announce: Any) -> Node:
        self.go.wait(20)
        if self.fails == "before":
            bug()
        if self.marks:
            launch.leaving()
        self.made += 1
        if self.fails == "after":
            bug()
        return Node("fake", "m-1", token=launch.token)

    def offers(self, resources: Any) -> Any:
        return ()

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> Any:
        return ()

    def inspect(self, node: Node) -> Node:
        return node

    def release(self, node: Node) -> Node:
        return node

    def close(self) -> None: ...


def sdk_engine(tmp_path: Path, sdk: Sdk) -> Engine:
    flags = {"marks_leaving"} if sdk.marks else set()
    config = load_config(state=tmp_path / "state", cache=tmp_path / "cache", environ={"HOME": str(tmp_path)})
    return Engine(config, providers={evolve(FAKE_SPEC, capabilities=flags): Threaded(sdk)})


@pytest.mark.parametrize(
    ("marks", "fails", "expected"),
    [
        (True, "before", PluginBroken),
        (True, "after", OutcomeUnknown),
        (False, "before", OutcomeUnknown),
        (False, "after", OutcomeUnknown),
    ],
)
def test_without_a_mark_a_call_counts_as_left(tmp_path: Path, marks: bool, fails: str, expected: type[LeptonError]) -> None:
    engine = sdk_engine(tmp_path, Sdk(marks, fails))

    async def story() -> None:
        with pytest.raises(expected) as caught:
            await create_call(engine, fake_offer(), [launch()], seconds=30)
        assert "KeyError: 'id'" in caught.value.message
        assert ("in calls/test_create_sdk.py:" in caught.value.message) == (expected is PluginBroken)
        await engine.aclose()

    asyncio.run(story())


def test_a_thread_that_was_taken_back_does_not_create(tmp_path: Path) -> None:
    sdk = Sdk(marks=True, fails="")
    sdk.go.clear()
    engine = sdk_engine(tmp_path, sdk)

    async def story() -> None:
        departure = departure_of(engine, "fake")
        call = asyncio.ensure_future(create_call(engine, fake_offer(), [launch()], seconds=600, departure=departure))
        await asyncio.sleep(0.05)
        assert departure.withdraw()
        with pytest.raises(Withdrawn):
            await call
        sdk.go.set()
        await engine.aclose()

    asyncio.run(story())
    end = time.monotonic() + 10
    while any("Sdk" in thread.name for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.01)
    assert sdk.made == 0


class Buggy(FakeProvider):
    """Its create call is a bug."""

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        return bug()  # type: ignore[no-any-return]


def test_a_run_leaves_a_broken_plugin_at_once(tmp_path: Path) -> None:
    spec = evolve(FAKE_SPEC, capabilities={*FAKE_SPEC.capabilities, "marks_leaving"})
    cloud = Buggy(tmp_path / "cloud", [fake_offer("a"), fake_offer("b")])
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={spec: cloud}) as client:
        run = client.run(Job("true", resources={"gpu": "H100:8", "providers": ["fake"]}))
        assert run.state is RunState.REFUSED
        (attempt,) = run.history
        assert attempt.error == "PluginBroken"
        assert attempt.blocked == "provider fake"
        assert "KeyError: 'id' (in calls/test_create_sdk.py:" in attempt.message
        assert client.nodes() == []
