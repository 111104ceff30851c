"""Whatever a public method takes, returns or hands to a callback can be imported from a public door, and so can its parts."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import attrs

_DOORS = ("lepton_sdk", "lepton_sdk.errors", "lepton_sdk.spi", "lepton_sdk.spi.http", "lepton_sdk.testing")


def _public() -> set[str]:
    return {name for door in _DOORS for name in import_module(door).__all__}


def _annotations(cls: type) -> Iterator[tuple[str, str]]:
    """Where and what: of fields, properties, and the arguments and answers of public methods."""
    fields = {field.name: field.type for field in attrs.fields(cls)} if attrs.has(cls) else {}
    for name, kind in fields.items():
        if not name.startswith("_") and isinstance(kind, str):
            yield f"{cls.__name__}.{name}", kind
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function) and (not name.startswith("_") or (name == "__init__" and cls.__name__ == "AsyncClient")):
            for kind in function.__annotations__.values():
                yield f"{cls.__name__}.{name}", str(kind)


def _names(annotation: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(annotation, mode="eval")):
        if isinstance(node, ast.Name):
            yield node.id


def _home(name: str, module: str) -> str | None:
    """The module of ours that a name of ``module`` is from, also where only type checkers import it."""
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return node.module if str(node.module).startswith("lepton_sdk") else None
    found = vars(sys.modules[module]).get(name)
    return module if found is not None and not inspect.ismodule(found) else None


def _reached() -> dict[str, str]:
    """Every name of ours that can be met from the client on, with the first place where it is."""
    met: dict[str, str] = {}
    waiting: list[type] = [import_module("lepton_sdk").AsyncClient, import_module("lepton_sdk").Job]
    while waiting:
        cls = waiting.pop()
        for where, annotation in _annotations(cls):
            for name in _names(annotation):
                home = _home(name, cls.__module__)
                if home is None or name in met:
                    continue
                met[name] = where
                value: Any = getattr(import_module(home), name)
                if inspect.isclass(value) and value.__module__.startswith("lepton_sdk"):
                    waiting.append(value)
    return met


def test_every_type_that_is_met_comes_through_a_door() -> None:
    met = _reached()
    assert {"Run", "NodeRecord", "Report", "HeldNode", "Plan", "Candidate", "Event", "PluginStatus"} <= set(met)
    assert {name: where for name, where in met.items() if name not in _public()} == {}
