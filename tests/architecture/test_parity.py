"""Client is AsyncClient without await: same methods, same arguments, same answers."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import AsyncClient, Client

_SYNC_NAME = {"__init__": "__init__", "__aenter__": "__enter__", "__aexit__": "__exit__", "aclose": "close"}
_SHARED = {*_SYNC_NAME, *_SYNC_NAME.values()}


def _public(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if name in _SHARED or not name.startswith("_")}


_ASYNC, _SYNC = _public(AsyncClient), _public(Client)
_METHODS = [name for name, value in _ASYNC.items() if inspect.isfunction(value)]


def test_both_have_the_same_members_in_the_same_order() -> None:
    assert [_SYNC_NAME.get(name, name) for name in _ASYNC] == list(_SYNC)


@pytest.mark.parametrize("name", _METHODS)
def test_arguments_defaults_and_answers_are_the_same(name: str) -> None:
    wanted = inspect.signature(_ASYNC[name])
    answer = wanted.return_annotation.replace("AsyncIterator[", "Iterator[")
    assert inspect.signature(_SYNC[_SYNC_NAME.get(name, name)]) == wanted.replace(return_annotation=answer)


@pytest.mark.parametrize("name", [name for name in _ASYNC if not name.startswith("__")])
def test_the_sync_one_points_at_the_other(name: str) -> None:
    assert f"See `AsyncClient.{name}`." in (inspect.getdoc(_SYNC[_SYNC_NAME.get(name, name)]) or "")


@pytest.mark.parametrize("name", [name for name in _METHODS if not name.startswith("_") and name != "aclose"])
def test_each_argument_is_handed_on_under_its_own_name(name: str) -> None:
    call = _twin_call(name)
    words = [*call.args, *(word.value for word in call.keywords)]
    assert all(word.arg == ast.unparse(word.value) for word in call.keywords)
    assert [ast.unparse(word) for word in words] == list(inspect.signature(_ASYNC[name]).parameters)[1:]


def _twin_call(name: str) -> ast.Call:
    """The one statement of a method of Client, ``return self._portal.X(self._client.NAME(…))``: the inner call."""
    tree = ast.parse(Path(inspect.getfile(Client)).read_text())
    (method,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
    (statement,) = method.body[1:]
    assert isinstance(statement, ast.Return)
    assert isinstance(statement.value, ast.Call)
    (inner,) = statement.value.args
    assert isinstance(inner, ast.Call)
    kind = "iterate" if inspect.isasyncgenfunction(_ASYNC[name]) else "call"
    assert ast.unparse(statement.value.func) == f"self._portal.{kind}"
    assert ast.unparse(inner.func) == f"self._client.{name}"
    return inner
