"""A double of Crusoe Cloud in a process of its own, providers that talk to it, and the published contract as the judge."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from attrs import evolve

from lepton_crusoe.plugin import PROVIDER
from lepton_crusoe.provider import CrusoeCloud, create
from lepton_sdk.spi import Launch, Offer, ProviderContext, Resources, Secret
from lepton_sdk.spi.http import make_client
from lepton_sdk.testing import SystemClock

_SPECS = Path(os.environ.get("LEPTON_SPECS_DIR") or Path(__file__).parents[4] / "shared" / "specs")
_CONTRACT = _SPECS / "crusoe" / "crusoe-v1-openapi3.json"
# What the published API does not declare and the double answers all the same: the assumptions of the README.
_UNDECLARED = {404, 429}
SECRET = "dGhlLXNlY3JldC1vZi10aGUtdGVzdHM"
PROJECT = "00000000-0000-4000-8000-000000000001"


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


# --- the contract ---------------------------------------------------------------------------------------------------


class Contract:
    """The published document, read strictly: what it does not name may not be said."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def check(self, exchange: dict[str, Any]) -> None:
        """Fail when a request that was accepted, or the reply to any request, is not as published."""
        path, _, query = exchange["target"].removeprefix("/v1").partition("?")
        where = f"{exchange['method']} {path} {exchange['status']}"
        operation = self._operation(exchange["method"], path)
        if exchange["status"] == 200:
            self._check_request(operation, exchange["request"], query, where)
        if exchange["status"] in _UNDECLARED:
            return
        response = self._resolve(operation["responses"].get(str(exchange["status"])))
        content = response.get("content", {}).get("application/json")
        if content is None:
            assert exchange["reply"] is None, f"{where}: a body that is not declared"
        else:
            self._match(content["schema"], exchange["reply"], where)

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        fitting = [
            (template.count("{"), item[method.lower()])
            for template, item in self._document["paths"].items()
            if method.lower() in item and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path)
        ]
        assert fitting, f"{method} {path} is not published"
        found: dict[str, Any] = min(fitting, key=lambda pair: pair[0])[1]
        return found

    def _check_request(self, operation: dict[str, Any], raw: str, query: str, where: str) -> None:
        known = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        assert {name for name, _ in parse_qsl(query)} <= known, f"{where}: {query} is not published"
        body = operation.get("requestBody")
        if body is None:
            assert not raw, f"{where}: a request body that is not published"
        else:
            self._match(self._resolve(body)["content"]["application/json"]["schema"], json.loads(raw), where)

    def _resolve(self, schema: Any) -> dict[str, Any]:
        assert schema is not None, "a status that is not published"
        while "$ref" in schema:
            found: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return dict(schema)

    def _match(self, given: Any, value: Any, where: str) -> None:
        schema = self._resolve(given)
        kinds: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
        if (kind := schema.get("type")) is None or (value is None and schema.get("nullable")):
            return
        holds = isinstance(value, kinds[kind])
        assert holds, f"{where}: {value!r} is not {kind}"
        assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r} is not one of {schema['enum']}"
        if kind == "array":
            for index, item in enumerate(value):
                self._match(schema["items"], item, f"{where}[{index}]")
        if kind == "object" and "properties" in schema:
            missing, unknown = set(schema.get("required", [])) - set(value), set(value) - set(schema["properties"])
            assert not missing, f"{where}: lacks {missing}"
            assert not unknown, f"{where}: {unknown} is not published"
            for name, item in value.items():
                self._match(schema["properties"][name], item, f"{where}.{name}")


@pytest.fixture(scope="session")
def contract_or_none() -> Contract | None:
    return Contract(json.loads(_CONTRACT.read_text())) if _CONTRACT.exists() else None


@pytest.fixture
def contract(contract_or_none: Contract | None) -> Contract:
    if contract_or_none is None:
        pytest.skip(f"the published contract is not at {_CONTRACT}; LEPTON_SPECS_DIR names the folder")
    return contract_or_none


@pytest.fixture
def vectors() -> list[list[str]]:
    file = _SPECS / "crusoe" / "signing-vectors.tsv"
    if not file.exists():
        pytest.skip(f"the signing vectors are not at {file}; LEPTON_SPECS_DIR names the folder")
    return [line.split("\t") for line in file.read_text().splitlines() if line]


# --- the double -----------------------------------------------------------------------------------------------------


class Double:
    """The program, and its control port."""

    def __init__(self, *options: str) -> None:
        code = "from lepton_crusoe.double.command import command; command()()"
        words = ["double", "--port", "0", "--secret-key", SECRET, "--project", PROJECT, "--json", *options]
        self.process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.environment: dict[str, str] = said["environment"]
        self.url = self.environment["LEPTON_SDK_PROVIDERS_CRUSOE_BASE_URL"]
        self._control = said["control"]

    def ask(self, path: str) -> Any:
        return httpx.get(self._control + path, trust_env=False).json()

    def tell(self, path: str, **values: Any) -> None:
        httpx.post(self._control + path, json=values, trust_env=False).raise_for_status()

    def open(self) -> list[str]:
        found: list[str] = self.ask("/bill")["open"]
        return found

    def calls(self, method: str = "") -> list[str]:
        rows = [f"{row['method']} {row['target'].partition('?')[0]}" for row in self.ask("/traffic")]
        return [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "*", row) for row in rows if row.startswith(method)]

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def make_double(contract_or_none: Contract | None) -> Iterator[Callable[..., Double]]:
    """Doubles; every exchange with each is held against the contract when the test ends."""
    made: list[Double] = []

    def make(*options: str, **rules: Any) -> Double:
        double = Double(*options)
        made.append(double)
        double.tell("/rules", **{"boot": 0.1, "ending": 0.1, "per_second": 1000, **rules})
        return double

    yield make
    traffic = [row for double in made if double.process.poll() is None for row in double.ask("/traffic")]
    for double in made:
        double.stop()
    if contract_or_none is not None:
        for row in traffic:
            contract_or_none.check(row)


@pytest.fixture
def environment() -> dict[str, str]:
    """The vendor's own variables, with the key that every double knows."""
    return {"CRUSOE_ACCESS_KEY_ID": "double", "CRUSOE_SECRET_KEY": SECRET, "CRUSOE_PROJECT_ID": PROJECT}


@pytest.fixture
def double(make_double: Callable[..., Double]) -> Double:
    return make_double()


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
def provider(double: Double, make_provider: Callable[..., CrusoeCloud]) -> CrusoeCloud:
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
