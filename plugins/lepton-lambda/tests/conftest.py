"""Providers that talk to a double of Lambda Cloud in a process of its own, with the published contract as the judge."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from lepton_lambda.plugin import PROVIDER
from lepton_lambda.provider import LambdaCloud, create
from lepton_sdk.spi import Launch, Offer, ProviderContext, Resources, Secret
from lepton_sdk.spi.http import make_client
from lepton_sdk.testing import SystemClock
from lepton_sdk.testing.doubles import DoubleProcess

sys.path.insert(0, str(Path(__file__).parents[2] / "lepton-doubles" / "tests" / "props"))

from lambda_double import contract, contract_or_none, fresh_double, shared_double, start_double  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and nothing of the developer's settings."""
    for name in list(os.environ):
        if name.startswith(("LEPTON_SDK_", "LAMBDA_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


# --- providers ------------------------------------------------------------------------------------------------------


class NoPacer:
    async def wait(self, bucket: str = "") -> None:
        return


def _defaults() -> dict[str, Any]:
    return {field.name: field.default for field in PROVIDER.config}


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One loop for the whole test, because connections belong to a loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def run_async(runner: asyncio.Runner) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return runner.run


@pytest.fixture
def clients(runner: asyncio.Runner) -> Iterator[list[httpx.AsyncClient]]:
    """HTTP clients that were made; closed when the test ends."""
    made: list[httpx.AsyncClient] = []
    yield made
    for client in made:
        runner.run(client.aclose())


@pytest.fixture
def context(tmp_path: Path, clients: list[httpx.AsyncClient]) -> Callable[..., ProviderContext]:
    """A context as core makes it, for a base URL."""

    def make(url: str, key: str = "double-key", *, timeout: float = 10.0, cache: str = "cache", **config: Any) -> ProviderContext:
        def http(**options: Any) -> Any:
            clients.append(make_client("lambda", secrets=[key], timeout=timeout, **options))
            return clients[-1]

        values = _defaults() | {"api_key": Secret(key), "base_url": url} | config
        folder = tmp_path / cache
        return ProviderContext("lambda", values, http, NoPacer(), SystemClock(), folder, folder, None)

    return make


@pytest.fixture
def provider(double: DoubleProcess, context: Callable[..., ProviderContext]) -> LambdaCloud:
    return create(context(double.url))


class Announced(list[tuple[str, str]]):
    """What was announced, in order."""

    async def __call__(self, kind: str, name: str) -> None:
        self.append((kind, name))


@pytest.fixture
def announced() -> Announced:
    return Announced()


@pytest.fixture
def launch(announced: Announced) -> Launch:
    return Launch("owner1", "token1", "run1", "job", 1, 0, Resources(), None, announced)


@pytest.fixture
def offers() -> Callable[[LambdaCloud], Coroutine[Any, Any, list[Offer]]]:
    async def ask(provider: LambdaCloud) -> list[Offer]:
        return [offer async for offer in provider.offers(Resources())]

    return ask


@pytest.fixture
def take(launch: Launch, offers: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Acquire the first offer of a type."""

    async def acquire(provider: LambdaCloud, kind: str = "gpu_1x_a10", **fields: Any) -> Any:
        offer = next(offer for offer in await offers(provider) if offer.instance_type == kind)
        return await provider.acquire(offer, evolve(launch, **fields))

    return acquire
