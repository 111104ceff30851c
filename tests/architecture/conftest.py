"""The project's own source, read once."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Source:
    """One file of Python.

    Attributes:
        path: where it is, from the repository's root.
        text: what stands in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.relative_to(ROOT)
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def module(self) -> str:
        """The dotted name that the file has when its ``src`` folder is on the path."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[parts.index("src") + 1 :]).removesuffix(".__init__")

    def imports(self, *, typing: bool) -> Iterator[str]:
        """Each module that is imported, anywhere in the file; with ``typing``, also those for type checkers alone."""
        for node in self._nodes(self.tree, typing):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports by dots, not by name"
                yield str(node.module)

    def _nodes(self, top: ast.AST, typing: bool) -> Iterator[ast.AST]:
        for node in ast.iter_child_nodes(top):
            if not typing and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            yield node
            yield from self._nodes(node, typing)


def _read(*patterns: str) -> list[Source]:
    files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]
    assert files, f"no file fits {patterns}"
    return [Source(file) for file in files]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def read() -> Callable[..., list[Source]]:
    """The files of Python that fit patterns from the root."""
    return _read


@pytest.fixture(scope="session")
def core() -> list[Source]:
    """Every file of the core distribution."""
    return _read("src/**/*.py")


@pytest.fixture(scope="session")
def plugins() -> list[Source]:
    """Every file that a plugin of ours ships."""
    return _read("plugins/*/src/**/*.py")


@pytest.fixture(scope="session")
def plugin_tests() -> list[Source]:
    return _read("plugins/*/tests/**/*.py")


@pytest.fixture(scope="session")
def everything() -> list[Source]:
    """Every file of Python that we keep."""
    folders = ("src", "plugins", "tests", "docs", "examples", "bench", "scripts")
    return _read("noxfile.py", *(f"{folder}/**/*.py" for folder in folders))


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], set[str]]:
    """Run code in a new process; the names of the modules that it brought in beyond a bare interpreter's."""

    def run(code: str) -> set[str]:
        report = "print(*sorted(set(sys.modules) - before), sep='\\n', file=sys.stderr)"
        program = f"import sys; before = set(sys.modules)\ntry:\n    exec({code!r})\nfinally:\n    {report}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return set(done.stderr.split())

    return run
