"""Playing with the double leaves the user's journal, keys, cache and settings as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
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


needs_sshd = pytest.mark.skipif(_SSHD is None or sys.platform != "linux", reason="sshd on Linux is needed")


@needs_sshd
def test_what_is_run_under_the_double_stays_apart(home: Path, tmp_path: Path) -> None:
    before = _files(home)
    lepton = f"{sys.executable} -m lepton_sdk"
    steps = f"{lepton} run --provider lambda --gpu A10:1 -- true && {lepton} ps --all --json && {lepton} config --json"
    double = [sys.executable, "-m", "lepton_sdk", "lambda", "double", "--sshd", str(_SSHD), "--ssh-port", "0", "--boot", "0.2"]
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


_CLOUDS = {"lambda": "A10:1", "crusoe": "L40S:1"}
_FAST = {"lambda": ["--pace", "0", "--launch-pace", "0", "--end", "0.1"], "crusoe": ["--ending", "0.1"]}
# The user has an account of their own there, whose key the double must never see.
_OWN_KEY = {
    "lambda": '[providers.lambda]\napi_key = "my-own-key"\n',
    "crusoe": '[providers.crusoe]\naccess_key_id = "mine"\nsecret_key = "bXktb3duLWtleQ"\n'
    'project_id = "00000000-0000-4000-8000-000000000009"\n',
}


@pytest.fixture(params=sorted(_CLOUDS))
def pasted(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A cloud, and what its double printed to be pasted into another terminal; temporary files have a blank in their path."""
    cloud = request.param
    (home / ".config" / "lepton" / "config.toml").write_text(_OWN_KEY[cloud])
    (tmp_path / "my files").mkdir()
    environment = _environment(home, tmp_path / "my files")
    words = ["double", "--port", "0", "--sshd", str(_SSHD), "--ssh-port", "0", "--boot", "0.2", *_FAST[cloud]]
    command = [sys.executable, "-m", "lepton_sdk", cloud, *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or not lines[-1].startswith("  lepton run"):
            lines.append(process.stdout.readline())
            assert lines[-1], f"the double ended: {lines}"
        yield cloud, "".join(line for line in lines if line.startswith("  export "))
    finally:
        process.terminate()
        process.communicate(timeout=30)


@needs_sshd
def test_who_follows_what_it_prints_keeps_a_clean_journal(pasted: tuple[str, str], home: Path, tmp_path: Path) -> None:
    cloud, exports = pasted
    before = _files(home)
    lepton = f"{sys.executable} -m lepton_sdk"
    run = f"{lepton} run --provider {cloud} --gpu {_CLOUDS[cloud]}"
    steps = [
        "set -e",
        f"{run} --name done -- true",
        f"{run} --name long --duration 10m -- sleep 600 & job=$!",
        f"until {lepton} ps --json | grep -q '\"running\"'; do sleep 0.2; done",
        f"{lepton} stop long || true",
        "wait $job || true",
        f"echo; {lepton} ps --all --json; {lepton} nodes --json",
    ]
    environment = _environment(home, tmp_path)
    script = exports + "\n".join(steps)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs, nodes = map(json.loads, done.stdout.splitlines()[-2:])
    assert {run["name"]: run["state"] for run in runs} == {"done": "succeeded", "long": "stopped"}
    assert nodes == []
    # The user's own journal holds nothing of it.
    assert _files(home) == before
    mine = subprocess.run(
        [sys.executable, "-m", "lepton_sdk", "ps", "--all", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    assert [run["name"] for run in json.loads(mine.stdout)] == ["mine"]
