"""Providers that talk to a double of Crusoe Cloud in a process of its own, with the published contract as the judge."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_crusoe.plugin import PROVIDER
from lepton_crusoe.provider import CrusoeCloud, create
from lepton_sdk.spi import Launch, Offer, ProviderContext, Resources, Secret
from lepton_sdk.spi.http import make_client
from lepton_sdk.testing import SystemClock
from lepton_sdk.testing.doubles import DoubleProcess

sys.path.insert(0, str(Path(__file__).parents[2] / "lepton-doubles" / "tests" / "props"))

from crusoe_double import (
    PROJECT,
    SECRET,
    contract,  # noqa: F401 - fixtures, like those that follow
    contract_or_none,  # noqa: F401
    fresh_double,  # noqa: F401
    make_double,  # noqa: F401
    vectors,  # noqa: F401
)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and nothing of the developer's settings."""
    for name in list(os.environ):
        if name.startswith(("LEPTON_SDK_", "CRUSOE_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def run_async() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a coroutine to its end; one loop for a whole test, so that connections last as they do in a client."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def environment() -> dict[str, str]:
    """The vendor's own variables, with the key that every double knows."""
    return {"CRUSOE_ACCESS_KEY_ID": "double", "CRUSOE_SECRET_KEY": SECRET, "CRUSOE_PROJECT_ID": PROJECT}


# --- the provider ---------------------------------------------------------------------------------------------------


class NoPacer:
    async def wait(self, bucket: str = "") -> None:
        return


class QuickClock(SystemClock):
    """Real time that passes twenty times faster while somebody sleeps."""

    def __init__(self) -> None:
        self.gained = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.gained

    async def sleep(self, seconds: float) -> None:
        self.gained += seconds * 0.95
        await asyncio.sleep(seconds * 0.05)


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., ProviderContext]:
    def make(url: str, **values: Any) -> ProviderContext:
        defaults = {one.name: one.default for one in PROVIDER.config}
        given = {"base_url": url, "project_id": PROJECT, "access_key_id": Secret("double"), "secret_key": Secret(SECRET)}
        clock = values.pop("clock", None) or QuickClock()

        def http(**options: Any) -> Any:
            return make_client("crusoe", secrets=["double", SECRET], trust_env=False, **options)

        return ProviderContext("crusoe", defaults | given | values, http, NoPacer(), clock, tmp_path / "cache", tmp_path, None)

    return make


@pytest.fixture
def make_provider(
    context: Callable[..., ProviderContext], run_async: Callable[[Coroutine[Any, Any, Any]], Any]
) -> Iterator[Callable[..., CrusoeCloud]]:
    made: list[CrusoeCloud] = []

    def make(url: str, **values: Any) -> CrusoeCloud:
        made.append(create(context(url, **values)))
        return made[-1]

    yield make
    for provider in made:
        run_async(provider.aclose())


@pytest.fixture
def provider(double: DoubleProcess, make_provider: Callable[..., CrusoeCloud]) -> CrusoeCloud:
    return make_provider(double.url)


@pytest.fixture
def launch() -> Launch:
    async def announce(kind: str, name: str, *, shared: bool = False) -> None:
        announced.append((kind, name))

    announced: list[tuple[str, str]] = []
    return Launch("owner1", "token1", "run1", "job", 1, 0, Resources(), None, announce)


@pytest.fixture
def take(launch: Launch) -> Callable[..., Any]:
    """Take a machine of a type, by default the cheapest GPU."""

    async def take_one(provider: CrusoeCloud, kind: str = "l40s-48gb.1x", at: str = "us-east1-a", **changes: Any) -> Any:
        return await provider.acquire(Offer("crusoe", kind, at), evolve(launch, **changes))

    return take_one


@pytest.fixture
def until() -> Callable[..., Any]:
    """Ask again until an answer holds; fails after twenty seconds."""

    async def ask(call: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
        end = time.monotonic() + 20
        while not holds(answer := await call()):
            assert time.monotonic() < end, answer
            await asyncio.sleep(0.02)
        return answer

    return ask
