"""A double as a program: alone, around a command, and what is wrong with how it was called. Every test is whole processes."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk.testing.doubles import DoubleProcess

_LEPTON = [sys.executable, "-m", "lepton_sdk"]


@pytest.fixture
def run(site: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``lepton closet double`` with words, to its end."""

    def now(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*_LEPTON, "closet", "double", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return now


def test_it_says_where_it_is_and_serves_until_it_is_told(double: DoubleProcess, ask: Callable[..., tuple[int, object]]) -> None:
    assert ask(f"{double.url}/key") == (200, {"key": "it's a key", "boot": 7.0})
    assert double.environment["CLOSET_KEY"] == "it's a key"
    assert double.environment["LEPTON_SDK_PROVIDERS_CLOSET_SSH_PORT"] == "2222"
    # Its machines run no start-up script, so nobody may count on a watchdog.
    assert double.environment["LEPTON_SDK_PROVIDERS_CLOSET_WATCHDOG"] == "false"
    assert set(double.place) == {"LEPTON_SDK_DOUBLE", "LEPTON_SDK_STATE", "LEPTON_SDK_CACHE", "LEPTON_SDK_CONFIG"}
    assert [one["path"] for one in double.exchanges()] == ["/v1/key"]
    assert double.open() == []
    double.process.send_signal(signal.SIGINT)
    assert double.process.wait(20) == 0
    assert not Path(double.place["LEPTON_SDK_DOUBLE"]).exists()


def test_what_it_prints_can_be_pasted(site: Path) -> None:
    words = [*_LEPTON, "closet", "double", "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        first, *exports = (process.stdout.readline() for _ in range(12))
        assert first.startswith("A double of Closet Cloud; it is steered at http://127.0.0.1:")
        pasted = "".join(line for line in exports if line.startswith("  export "))
        script = f"{pasted}{shlex.join([sys.executable, '-c', 'import json, os; print(json.dumps(dict(os.environ)))'])}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
        seen = json.loads(done.stdout)
        # The second goes before a key in the user's own configuration.
        assert [seen["CLOSET_KEY"], seen["LEPTON_SDK_PROVIDERS_CLOSET_API_KEY"]] == ["it's a key"] * 2
        assert Path(seen["LEPTON_SDK_CONFIG"]).is_file()
        assert " " in seen["LEPTON_SDK_STATE"]
        assert exports[-1] == "  lepton run --provider closet -- true\n"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_around_a_command_it_ends_with_it(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    script = "import os, sys; print(os.environ['LEPTON_SDK_PROVIDERS_CLOSET_API_KEY']); sys.exit(3)"
    done = run("--key", "k", "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (3, "k\n")
    assert "machines of this double answer nobody" in done.stderr


def test_a_command_that_is_not_there(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("--", "/no/such/command")
    assert done.returncode == 2
    assert "/no/such/command cannot be run: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = run("--port", port)
    assert done.returncode == 2
    assert f"port {port}: Address already in use" in " ".join(done.stderr.split())
    assert "0 takes a free one" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_place_that_an_ended_double_took_with_it_is_made_again(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What somebody pasted into a terminal outlives the double that printed it.
    monkeypatch.setenv("LEPTON_SDK_DOUBLE", str(tmp_path / "gone"))
    done = run("--", "sh", "-c", 'test -f "$LEPTON_SDK_CONFIG" && echo "$LEPTON_SDK_STATE"')
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/gone/state\n"), done.stderr
