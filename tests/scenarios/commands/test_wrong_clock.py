"""The command under a clock that is wrong: by Debian's faketime, which lies to one process about the time of day."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

_LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
pytestmark = pytest.mark.skipif(_LIBRARY is None, reason="faketime is not installed: apt-get install faketime")
_LEPTON = [sys.executable, "-m", "lepton_sdk"]
_SECONDS = 60.0


def _environment(off: str | None, *, boot_too: bool = False) -> dict[str, str]:
    lie = {"LD_PRELOAD": str(_LIBRARY), "FAKETIME": off} if off else {}
    if off and not boot_too:
        lie |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    return {**os.environ, **lie}


def lepton(*words: str, off: str | None = None, boot_too: bool = False) -> subprocess.CompletedProcess[str]:
    environment = _environment(off, boot_too=boot_too)
    return subprocess.run([*_LEPTON, *words], env=environment, capture_output=True, text=True, timeout=_SECONDS)


def run(folder: Path) -> subprocess.Popen[bytes]:
    """A client whose job goes on until there is a file ``go``."""
    job = f"echo begun; while [ ! -e {folder}/go ]; do sleep 0.05; done; echo done"
    command = [*_LEPTON, "run", "--no-workdir", "--name", "x", "--", "sh", "-c", job]
    with (folder / "out").open("wb") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("off", ["+3h", "-3h"])
def test_one_command_under_a_wrong_clock_takes_nothing_from_a_client_that_lives(off: str, tmp_path: Path) -> None:
    client = run(tmp_path)
    try:
        until(lambda: "begun" in (tmp_path / "out").read_text())
        done = lepton("ps", "--json", off=off)
        assert done.returncode == 0
        assert f"clock is 3h {'ahead of' if off[0] == '+' else 'behind'}" in done.stderr
        (shown,) = json.loads(done.stdout)
        assert shown["state"] == "running"
        # A clock that also lies about the time since boot is no better.
        assert lepton("nodes", off=off, boot_too=True).returncode == 0
        (tmp_path / "go").touch()
        assert client.wait(_SECONDS) == 0
    finally:
        (tmp_path / "go").touch()
        client.wait(_SECONDS)
    assert (tmp_path / "out").read_text() == "begun\ndone\n"
    (shown,) = json.loads(lepton("ps", "--all", "--json").stdout)
    assert (shown["state"], shown["attempts"]) == ("succeeded", 1)


@pytest.mark.parametrize("off", ["+3h", "-3h"])
def test_what_a_command_under_a_wrong_clock_let_go_can_be_stopped(off: str, tmp_path: Path) -> None:
    client = run(tmp_path)
    until(lambda: "begun" in (tmp_path / "out").read_text())
    client.send_signal(signal.SIGKILL)
    client.wait(_SECONDS)
    try:
        assert lepton("ps", off=off).returncode == 0
        assert lepton("stop", "x").returncode == 0
    finally:
        (tmp_path / "go").touch()
    assert json.loads(lepton("nodes", "--json").stdout) == []
