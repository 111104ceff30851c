"""The layers of the design, held by import-linter; and import-linter, held to noticing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Lint = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy of the core package that a test may spoil."""
    shutil.copy(root / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(root / "src" / "lepton_sdk", tmp_path / "lepton_sdk", ignore=ignored))


@pytest.fixture
def lint(copy: Path) -> Lint:
    def call() -> subprocess.CompletedProcess[str]:
        program = "from importlinter.cli import lint_imports_command as main; main()"
        command = [sys.executable, "-c", program, "--no-cache", "--config", str(copy.with_name("pyproject.toml"))]
        own = {"PYTHONPATH": str(copy.parent), "COLUMNS": "200"}
        return subprocess.run(command, cwd=copy.parent, env=os.environ | own, capture_output=True, text=True)

    return call


def test_the_contracts_hold(lint: Lint) -> None:
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("domain/spoilt.py", "import lepton_sdk.router", "lepton_sdk.domain.spoilt -> lepton_sdk.router"),
        ("_journal/spoilt.py", "import lepton_sdk._retry", "lepton_sdk._journal.spoilt -> lepton_sdk._retry"),
        ("_engine/spoilt.py", "import tenacity", "lepton_sdk._engine.spoilt -> tenacity"),
        ("router/spoilt.py", "import sqlite3", "lepton_sdk.router.spoilt -> sqlite3"),
        ("spoilt.py", "", "- lepton_sdk.spoilt"),
    ],
    ids=["upwards", "sideways", "a second retrier", "impure", "outside all layers"],
)
def test_a_breach_is_noticed(copy: Path, lint: Lint, file: str, line: str, said: str) -> None:
    (copy / file).write_text(line)
    done = lint()
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
