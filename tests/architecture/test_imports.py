"""Who may import what, beyond the layers."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

# Third-party modules with one home each. Type checkers may see them anywhere: that costs nothing at run time.
_HOMES = {
    "httpx": {"lepton_crusoe._credentials", "lepton_sdk.spi.http"},
    "pathspec": {"lepton_sdk._executors.workdir.ignore"},
    "psycopg": {"lepton_sdk._journal.stores.postgres"},
    "pynvml": {"lepton_byoc.gpus", "lepton_byoc.onhost.cards"},
    "sqlite3": {"lepton_sdk._journal.stores.sqlite"},
    "tenacity": {"lepton_sdk._retry"},
    "yaml": {"lepton_sdk._jobfile.yaml"},
}
_DOORS = {
    "lepton_sdk",
    "lepton_sdk.errors",
    "lepton_sdk.spi",
    "lepton_sdk.spi.http",
    "lepton_sdk.testing",
    "lepton_sdk.testing.doubles",
}


def _top(module: str) -> str:
    return module.partition(".")[0]


def test_each_outside_module_is_imported_only_at_home(core: list[Source], plugins: list[Source]) -> None:
    found: dict[str, set[str]] = {name: set() for name in _HOMES}
    for source in core + plugins:
        for module in source.imports(typing=False):
            if _top(module) in found:
                found[_top(module)].add(source.module)
    assert found == _HOMES


def test_plugins_import_of_us_the_spi_alone(plugins: list[Source]) -> None:
    """The doubles of clouds, which are a distribution of their own, are made of our test help instead."""
    faults = [
        f"{source.path} imports {module}"
        for source in plugins
        for module in source.imports(typing=True)
        if _top(module) == "lepton_sdk" and not f"{module}.".startswith(_open_to(source.module))
    ]
    assert faults == []


def _open_to(module: str) -> tuple[str, ...]:
    return ("lepton_sdk.testing.doubles.",) if _top(module) == "lepton_doubles" else ("lepton_sdk.spi.",)


def test_the_tests_of_plugins_come_through_the_doors(plugin_tests: list[Source]) -> None:
    used = {module for source in plugin_tests for module in source.imports(typing=True) if _top(module) == "lepton_sdk"}
    assert used <= _DOORS


def test_only_test_help_imports_test_help(core: list[Source]) -> None:
    """What is made for tests costs nobody anything: not core, and the doubles of clouds not the rest of it either."""
    faults = [
        f"{source.module} imports {module}"
        for source in core
        for module in source.imports(typing=True)
        if (module.startswith("lepton_sdk.testing") and not source.module.startswith("lepton_sdk.testing"))
        or (module.startswith("lepton_sdk.testing.doubles") and not source.module.startswith("lepton_sdk.testing.doubles"))
    ]
    assert faults == []


def test_core_itself_does_not_come_in_through_its_door(core: list[Source]) -> None:
    through = [
        f"{source.path}:{node.lineno} takes {name.name}"
        for source in core
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "lepton_sdk"
        for name in node.names
        if name.name != "__version__"
    ]
    assert through == []


def test_plugins_do_not_import_each_other(plugins: list[Source]) -> None:
    ours = {_top(source.module) for source in plugins}
    faults = [
        f"{source.path} imports {module}"
        for source in plugins
        for module in source.imports(typing=True)
        if _top(module) in ours - {_top(source.module)}
    ]
    assert faults == []


def test_every_outside_module_is_a_declared_dependency_and_none_is_idle(root: Path, read: Callable[..., list[Source]]) -> None:
    providing = packages_distributions()
    for folder in (Path(), *(file.parent.relative_to(root) for file in root.glob("plugins/*/pyproject.toml"))):
        project = tomllib.loads((root / folder / "pyproject.toml").read_text())["project"]
        extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
        declared = {_name(line) for line in project["dependencies"] + extras}
        sources = read(f"{folder}/src/**/*.py")
        tops = {_top(module) for source in sources for module in source.imports(typing=True)}
        # The keeper of a run stands beside its parts without the package, so it names them without it.
        own = {_top(source.module) for source in sources} | {"_kernel", "_keeper"}
        used = {_name(providing.get(top, [top])[0]) for top in tops - own - sys.stdlib_module_names}
        assert used == declared, f"{project['name']} declares {sorted(declared)}, its code uses {sorted(used)}"


def _name(requirement: str) -> str:
    stem = requirement.partition(";")[0]
    for sign in "<>=!~[ ":
        stem = stem.partition(sign)[0]
    return stem.lower().replace("_", "-")
