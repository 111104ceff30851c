"""The three doors: what they show is listed, sorted, there and explained."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

_DOORS = ("lepton_sdk", "lepton_sdk.spi", "lepton_sdk.testing", "lepton_sdk.testing.doubles")
# Doors in this list are themselves names of the first one.
_IMPORTABLE = {*_DOORS, "lepton_sdk.errors"}
doors = pytest.mark.parametrize("door", _DOORS)


@doors
def test_all_is_sorted_and_without_repetition(door: str) -> None:
    names = import_module(door).__all__
    # Constants, classes, the rest: the order that ruff's RUF022 keeps.
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))


@pytest.mark.parametrize("door", ["lepton_sdk", "lepton_sdk.spi"])
def test_dir_shows_what_is_listed(door: str) -> None:
    module = import_module(door)
    assert dir(module) == sorted(module.__all__)


@doors
def test_a_star_import_brings_every_listed_name(door: str) -> None:
    # A new process: in this one another test may already have filled the lazy names in.
    program = f"from {door} import *; import {door} as door; assert set(door.__all__) <= set(globals())"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("door", ["lepton_sdk", "lepton_sdk.spi"])
def test_type_checkers_and_python_read_one_list(door: str, core: list[Source]) -> None:
    (source,) = (source for source in core if source.module == f"{door}._names")
    lines = [node for node in source.tree.body[1:] if isinstance(node, ast.ImportFrom)]
    # Nothing but imports, each with the alias by which a type checker takes the name for exported.
    assert len(lines) == len(source.tree.body) - 1
    assert all(name.asname == name.name for node in lines for name in node.names)
    seen = {name.name: str(node.module) for node in lines for name in node.names}
    assert seen == import_module(door)._DOOR.homes


@pytest.mark.parametrize("door", ["lepton_sdk", "lepton_sdk.spi"])
def test_a_name_that_is_not_there_is_refused_by_name(door: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{door}' has no attribute 'nonsense'"):
        import_module(door).nonsense  # noqa: B018 - the look-up is what is tested


@doors
def test_every_public_name_is_explained(door: str) -> None:
    module = import_module(door)
    mute = []
    for name in module.__all__:
        value = getattr(module, name)
        mute += [f"{door}.{label}" for label, part in _parts(name, value) if not (inspect.getdoc(part) or "").strip()]
    assert mute == []


def _parts(name: str, value: object) -> Iterator[tuple[str, object]]:
    """The thing itself and, of a class, its own public methods and properties."""
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        yield name, value
    if inspect.isclass(value):
        for member, part in vars(value).items():
            if not member.startswith("_") and isinstance(part, FunctionType | property | classmethod | staticmethod):
                yield f"{name}.{member}", part


def test_what_we_show_to_users_comes_through_the_doors(root: Path) -> None:
    pages = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("examples/**/*.py"), *root.glob("plugins/*/README.md")]
    used = {
        module
        for page in pages
        for found in re.findall(r"from (lepton_sdk[\w.]*) import|import (lepton_sdk[\w.]*)", page.read_text(encoding="utf-8"))
        for module in found
        if module
    }
    assert used <= _IMPORTABLE
