"""Files and functions stay small enough to be one idea, and are named after it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

_FILE, _FUNCTION = 400, 40
_EMPTY_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    """Lines from ``def`` to the end, without the docstring: explaining more must never be a fault."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_no_file_is_long(everything: list[Source]) -> None:
    long = [f"{source.path}: {lines} lines" for source in everything if (lines := source.text.count("\n")) > _FILE]
    assert long == []


def test_no_function_is_long(everything: list[Source]) -> None:
    long = [
        f"{source.path}:{function.lineno} {function.name}: {lines} lines"
        for source in everything
        for function in _functions(source.tree)
        if (lines := _length(function)) > _FUNCTION
    ]
    assert long == []


def test_a_docstring_does_not_count() -> None:
    (function,) = _functions(ast.parse('def f(\n    a: int,\n) -> None:\n    """One.\n\n    Two.\n    """\n    g(a)\n    h(a)'))
    assert _length(function) == 5


def test_no_file_has_an_empty_name(everything: list[Source]) -> None:
    assert [str(source.path) for source in everything if source.path.stem.strip("_") in _EMPTY_NAMES] == []
