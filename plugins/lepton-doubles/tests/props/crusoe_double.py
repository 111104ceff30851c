"""Crusoe Cloud's double for tests, and the published contract as the judge of every exchange with it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from lepton_sdk.testing.doubles import DoubleProcess

__all__ = ["PROJECT", "SECRET", "Double", "contract", "contract_or_none", "fresh_double", "make_double", "vectors"]

_SPECS = Path(os.environ.get("LEPTON_SPECS_DIR") or Path(__file__).parents[5] / "shared" / "specs")
_CONTRACT = _SPECS / "crusoe" / "crusoe-v1-openapi3.json"
# What the published API does not declare and the double answers all the same: the assumptions of the provider's page.
_UNDECLARED = {404, 429}
SECRET = "dGhlLXNlY3JldC1vZi10aGUtdGVzdHM"
PROJECT = "00000000-0000-4000-8000-000000000001"

# --- the contract ---------------------------------------------------------------------------------------------------


class Contract:
    """The published document, read strictly: what it does not name may not be said."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def check(self, exchange: dict[str, Any]) -> None:
        """Fail when a request that was accepted, or the reply to any request, is not as published."""
        path, query = exchange["path"].removeprefix("/v1"), exchange["query"]
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


class Double(DoubleProcess):
    """A running double, whose key is known."""

    def __init__(self, *options: str) -> None:
        super().__init__("crusoe", "--secret-key", SECRET, "--project", PROJECT, *options)

    def open(self) -> list[str]:
        """Names of what is billed now: a machine's name says whose it is."""
        return sorted(row["name"] for row in self.ask("/bill")["rows"] if row["until"] is None)

    def calls(self, method: str = "") -> list[str]:
        """What was asked, without ids."""
        rows = [f"{row['method']} {row['path']}" for row in self.exchanges()]
        return [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "*", row) for row in rows if row.startswith(method)]


@pytest.fixture
def make_double(contract_or_none: Contract | None) -> Iterator[Callable[..., Double]]:
    """Doubles; every exchange with each is held against the contract when the test ends."""
    made: list[Double] = []

    def make(*options: str, **rules: Any) -> Double:
        double = Double(*options)
        made.append(double)
        double.tell("/settings", **{"boot": 0.1, "end": 0.1, "per_second": 1000, **rules})
        return double

    yield make
    exchanges = [row for double in made if double.process.poll() is None for row in double.exchanges()]
    for double in made:
        double.close()
    if contract_or_none is not None:
        for row in exchanges:
            # What a fault kept from happening has no answer to be judged.
            if row["status"] is not None:
                contract_or_none.check(row)


@pytest.fixture(name="double")
def fresh_double(make_double: Callable[..., Double]) -> Double:
    return make_double()
