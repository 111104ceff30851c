"""Folders stay small enough to be looked over, and no module needs one that needs it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

_MOST = 12
# Folders with more modules than that, and how many. The numbers may only shrink; the domain may stay flat.
_LARGER = {"spi": 13}
_FLAT = {"domain"}


def _folder(source: Source) -> str:
    return str(source.path.relative_to("src/lepton_sdk").parent)


@pytest.fixture(scope="module")
def folders(core: list[Source]) -> Counter[str]:
    """How many modules each folder has; the file that makes a folder a package is none."""
    return Counter(_folder(source) for source in core if source.path.name != "__init__.py")


def test_no_folder_has_more_modules_than_can_be_looked_over(folders: Counter[str]) -> None:
    large = {name: count for name, count in folders.items() if count > _LARGER.get(name, _MOST) and name not in _FLAT}
    assert large == {}


def test_a_folder_that_has_become_smaller_may_not_grow_again(folders: Counter[str]) -> None:
    assert {name: most for name, most in _LARGER.items() if not _MOST < folders[name] <= most} == {}


# --- circles ----------------------------------------------------------------------------------------------------------


def _run(node: ast.AST, *, later: bool) -> Iterator[ast.AST]:
    """What runs when the module is imported, or ``later`` as well: nothing that is there for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if not later and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run(child, later=later)


def _needed(tree: ast.Module, known: Iterable[str], *, later: bool = False) -> set[str]:
    """The modules of ours that a module imports: the one that is meant, not the packages that lead to it."""
    known, needed = set(known), set[str]()
    for node in _run(tree, later=later):
        if isinstance(node, ast.Import):
            needed |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            needed |= {part if part in known else node.module for part in parts}
    return needed & known


def _circle(needs: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def sources(core: list[Source], plugins: list[Source]) -> dict[str, Source]:
    """By module; the public door shows names of every layer and loads them on first use, so it needs nobody."""
    return {source.module: source for source in [*core, *plugins] if source.module != "lepton_sdk"}


def test_no_module_needs_one_that_needs_it(sources: dict[str, Source]) -> None:
    assert _circle({name: _needed(source.tree, sources) - {name} for name, source in sources.items()}) == []


def test_no_function_imports_what_needs_its_module(sources: dict[str, Source]) -> None:
    needs = {name: _needed(source.tree, sources, later=True) - {name} for name, source in sources.items()}
    assert _circle(needs) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (("import b", "from a import x"), True),
        (("class A:\n    import b", "import a"), True),
        (("import b", "def f():\n    import a"), False),
        (("import b", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a"), False),
        (("import b", "import c"), False),
    ],
)
def test_a_circle_is_noticed(lines: tuple[str, str], found: bool) -> None:
    names = {"a": lines[0], "b": lines[1]}
    needs = {name: _needed(ast.parse(text), names) for name, text in names.items()}
    assert bool(_circle(needs)) is found
