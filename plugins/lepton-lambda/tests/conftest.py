"""A double of Lambda Cloud in a process of its own, providers that talk to it, and the published contract as the judge."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from importlib import import_module
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

_SPECS = Path(os.environ.get("LEPTON_SPECS_DIR") or Path(__file__).parents[4] / "shared" / "specs")
_CONTRACT = _SPECS / "lambda" / "lambda-cloud-openapi-1.10.0.json"
# What the published API does not declare and the double answers all the same: the assumptions of the README.
_UNDECLARED = {429, 500, 502, 503, 504}


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and nothing of the developer's settings."""
    for name in list(os.environ):
        if name.startswith(("LEPTON_SDK_", "LAMBDA_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


# --- the contract ---------------------------------------------------------------------------------------------------


def _strict(node: Any) -> None:
    """No field beyond the declared ones, in any object of the document."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _strict(value)
    elif isinstance(node, list):
        for value in node:
            _strict(value)


class Contract:
    """The published document, made strict."""

    def __init__(self, document: dict[str, Any]) -> None:
        # The double serves these alone, and the whole document takes seconds to read.
        served = ("/instance", "/ssh-keys")
        document["paths"] = {
            path: item for path, item in document["paths"].items() if path.removeprefix("/api/v1").startswith(served)
        }
        _strict(document)
        for name, schema in document["components"]["schemas"].items():
            if name.startswith("ApiError"):
                # The vendor's live document has this field already; the stored copy is a little older.
                schema["properties"]["request_id"] = {"type": "string"}
        self._api = import_module("openapi_core").OpenAPI.from_dict(document)
        self._made = import_module("openapi_core.testing")

    def check(self, exchange: dict[str, Any]) -> None:
        """Raise when a request that was accepted, or the reply to any request, is not as published."""
        request = self._made.MockRequest(
            "https://cloud.lambda.ai",
            exchange["method"].lower(),
            exchange["path"],
            headers={"authorization": f"{exchange['scheme']} x"} if exchange["scheme"] else {},
            data=exchange["request"].encode() or None,
        )
        if exchange["status"] == 200:
            self._api.validate_request(request)
        if exchange["fault"] is None and exchange["status"] is not None and exchange["status"] not in _UNDECLARED:
            body = json.dumps(exchange["reply"]).encode()
            self._api.validate_response(request, self._made.MockResponse(body, status_code=exchange["status"]))


@pytest.fixture(scope="session")
def contract_or_none() -> Contract | None:
    if not _CONTRACT.exists():
        return None
    try:
        return Contract(json.loads(_CONTRACT.read_text()))
    except ImportError:
        return None


@pytest.fixture
def contract(contract_or_none: Contract | None) -> Contract:
    if contract_or_none is None:
        pytest.skip(f"no openapi-core, or no {_CONTRACT.name}: set LEPTON_SPECS_DIR to the folder of vendors' contracts")
    return contract_or_none


# --- the double -----------------------------------------------------------------------------------------------------


class Double:
    """A running double.

    Attributes:
        environment: variables with which the installed plugin finds it.
    """

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "lepton_sdk", "lambda", "double", "--port", "0", "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.environment: dict[str, str] = said["environment"]
        self.url = self.environment["LEPTON_SDK_PROVIDERS_LAMBDA_BASE_URL"]
        self._control = httpx.Client(base_url=said["control"])

    def ask(self, path: str) -> Any:
        return self._control.get(path).raise_for_status().json()

    def tell(self, order: str, /, **fields: Any) -> None:
        self._control.post(order, json=fields).raise_for_status()

    def running(self) -> list[str]:
        names: list[str] = self.ask("/bill")["running"]
        return names

    def calls(self) -> list[str]:
        """What was asked, without ids."""
        return [
            f"{one['method']} {'/instances/ID' if '/instances/' in one['path'] else one['path'].removeprefix('/api/v1')}"
            for one in self.ask("/exchanges")
        ]

    def close(self) -> None:
        self._control.close()
        self.process.terminate()
        self.process.communicate(timeout=20)


def _judge(double: Double, contract: Contract | None) -> None:
    """Hold everything that was said on the double's wire against the contract."""
    if contract is not None:
        for exchange in double.ask("/exchanges"):
            contract.check(exchange)


@pytest.fixture
def start_double(contract_or_none: Contract | None) -> Iterator[Callable[..., Double]]:
    """Starts doubles of this test alone."""
    started: list[Double] = []

    def start(*options: str) -> Double:
        started.append(Double(*options))
        return started[-1]

    yield start
    try:
        for double in started:
            _judge(double, contract_or_none)
    finally:
        for double in started:
            double.close()


@pytest.fixture(scope="session")
def shared_double() -> Iterator[Double]:
    double = Double("--pace", "0", "--launch-pace", "0", "--boot", "0", "--end", "0")
    yield double
    double.close()


@pytest.fixture
def double(shared_double: Double, contract_or_none: Contract | None) -> Iterator[Double]:
    """A fresh cloud without limits of pace whose machines boot at once."""
    shared_double.tell("/reset")
    yield shared_double
    _judge(shared_double, contract_or_none)


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
def provider(double: Double, context: Callable[..., ProviderContext]) -> LambdaCloud:
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
