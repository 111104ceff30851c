"""The public signatures, as a user's type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


def _mypy(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *words]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)


def test_right_uses_type_and_wrong_ones_do_not() -> None:
    done = _mypy(str(_HERE / "public_api.py"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_use_that_types_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text("from lepton_sdk import Job\nJob('true', resources='H100:8')  # type: ignore[call-arg]\nJob()\n")
    done = _mypy(str(file))
    assert done.returncode == 1
    assert 'user.py:2: error: Unused "type: ignore" comment' in done.stdout
    assert 'user.py:3: error: Missing positional argument "command"' in done.stdout


def test_a_user_needs_none_of_our_settings(tmp_path: Path) -> None:
    # Our pyproject must not be what makes the types work: py.typed is.
    file = tmp_path / "user.py"
    file.write_text("from lepton_sdk import Client, Job\nreveal_type(Client().run(Job('true')).exit_code)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=.mypy_cache", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Revealed type is "int | None"' in done.stdout
