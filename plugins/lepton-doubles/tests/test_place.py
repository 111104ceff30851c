"""Playing with the double leaves the user's journal, keys, cache and settings as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _environment(home: Path, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_SDK_", "XDG_", "LAMBDA_"))}
    return kept | {"HOME": str(home), "TMPDIR": str(tmp_path)}


def _files(home: Path) -> dict[str, float]:
    return {str(path.relative_to(home)): path.lstat().st_mtime for path in sorted(home.rglob("*"))}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home, with a journal that has a run in it and with settings."""
    home, work = tmp_path / "home", tmp_path / "work"
    (home / ".config" / "lepton").mkdir(parents=True)
    (home / ".config" / "lepton" / "config.toml").write_text('[limits]\nhourly = "5"\n')
    work.mkdir()
    command = [sys.executable, "-m", "lepton_sdk", "run", "--name", "mine", "--", "true"]
    subprocess.run(command, cwd=work, env=_environment(home, tmp_path), check=True, capture_output=True)
    return home


@pytest.mark.skipif(_SSHD is None, reason="sshd is not installed")
def test_what_is_run_under_the_double_stays_apart(home: Path, tmp_path: Path) -> None:
    before = _files(home)
    lepton = f"{sys.executable} -m lepton_sdk"
    steps = f"{lepton} run --provider lambda --gpu A10:1 -- true && {lepton} ps --all --json && {lepton} config --json"
    double = [sys.executable, "-m", "lepton_sdk", "lambda", "double", "--sshd", str(_SSHD), "--ssh-port", "2437", "--boot", "0.2"]
    paces = ["--pace", "0", "--launch-pace", "0"]
    done = subprocess.run(
        [*double, *paces, "--", "sh", "-c", steps],
        cwd=tmp_path / "work",
        env=_environment(home, tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    listed, settings = done.stdout.splitlines()
    assert [(run["state"], run["provider"]) for run in json.loads(listed)] == [("succeeded", "lambda")]
    # The user's own settings hold there as well.
    assert "5" in settings
    assert _files(home) == before


def test_a_double_within_a_double_shares_its_place(home: Path, tmp_path: Path) -> None:
    double = [sys.executable, "-m", "lepton_sdk", "lambda", "double", "--"]
    show = ["sh", "-c", 'echo "$LEPTON_SDK_DOUBLE"; echo "$LEPTON_SDK_STATE"']
    steps = f"sh -c 'echo $LEPTON_SDK_STATE'; {' '.join(double)} sh -c 'echo $LEPTON_SDK_STATE'"
    done = subprocess.run(
        [*double, "sh", "-c", steps], env=_environment(home, tmp_path), capture_output=True, text=True, timeout=60, check=True
    )
    outer, inner = done.stdout.splitlines()
    assert outer == inner
    # Nothing was written there, so it is gone.
    alone = subprocess.run([*double, *show], env=_environment(home, tmp_path), capture_output=True, text=True, timeout=60)
    folder = Path(alone.stdout.splitlines()[0])
    assert not folder.exists()
