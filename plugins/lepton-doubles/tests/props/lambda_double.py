"""Lambda Cloud's double for tests, and the published contract as the judge of every exchange with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.testing.doubles import DoubleProcess

__all__ = ["Double", "contract", "contract_or_none", "fresh_double", "shared_double", "start_double"]

_SPECS = Path(os.environ.get("LEPTON_SPECS_DIR") or Path(__file__).parents[5] / "shared" / "specs")
_CONTRACT = _SPECS / "lambda" / "lambda-cloud-openapi-1.10.0.json"
# What the published API does not declare and the double answers all the same: the assumptions of the provider's page.
_UNDECLARED = {429, 500, 502, 503, 504}

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
        if exchange["status"] is not None and exchange["status"] not in _UNDECLARED:
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


class Double(DoubleProcess):
    """A running double."""

    def __init__(self, *options: str) -> None:
        super().__init__("lambda", *options)

    def calls(self) -> list[str]:
        """What was asked, without ids."""
        return [
            f"{one['method']} {'/instances/ID' if '/instances/' in one['path'] else one['path'].removeprefix('/api/v1')}"
            for one in self.exchanges()
        ]


def _judge(double: Double, contract: Contract | None) -> None:
    """Hold everything that was said on the double's wire against the contract."""
    if contract is not None:
        for exchange in double.exchanges():
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


@pytest.fixture(name="double")
def fresh_double(shared_double: Double, contract_or_none: Contract | None) -> Iterator[Double]:
    """A fresh cloud without limits of pace whose machines boot at once."""
    shared_double.tell("/reset")
    yield shared_double
    _judge(shared_double, contract_or_none)
