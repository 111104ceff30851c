"""A cloud in a process of its own, a plugin that is installed beside the project, and ``lepton`` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

_HERE = Path(__file__).parent
# The machine may be shared, so whatever a test waits for may take long; nothing is asserted of how long.
_PATIENCE = 120.0
_ENTRY_POINTS = """
[lepton_sdk.providers.v1]
rental = lepton_rental:PROVIDER
[lepton_sdk.executors.v1]
rental = lepton_rental:EXECUTOR
[lepton_sdk.observers.v1]
killer = lepton_rental:KILLER
"""


class Scene:
    """One cloud, one journal, and as many clients as are begun.

    Attributes:
        environment: what every client gets.
        ran: each execution of a job writes its run's id there.
    """

    def __init__(self, folder: Path, where: str) -> None:
        self._folder = folder
        self.ran = folder / "ran"
        self.ran.touch()
        (folder / "work").mkdir()
        command = [sys.executable, str(_HERE / "cloud.py")]
        self._cloud = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._cloud.stdout is not None
        self._url = self._cloud.stdout.readline().strip()
        self._clients: list[subprocess.Popen[str]] = []
        ours = {
            "HOME": str(folder),
            "LEPTON_SDK_STATE": where,
            "LEPTON_SDK_CACHE": str(folder / "cache"),
            "LEPTON_SDK_PROVIDERS_RENTAL_URL": self._url,
            "PYTHONPATH": f"{self._installed()}:{_HERE / 'rental'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RENTAL_DIED": str(folder / "died"),
            "RENTAL_MACHINES": str(folder / "machines"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_SDK_", "XDG_"))}
        self.environment = kept | ours

    def _installed(self) -> Path:
        """What an installer leaves of a distribution: enough for its entry points to be found."""
        site = self._folder / "site"
        info = site / "lepton_rental-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lepton-rental\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(_ENTRY_POINTS)
        return site

    def begin(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a client, in a process group of its own."""
        place = {"cwd": self._folder / "work", "env": self.environment | environment, "start_new_session": True}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        client = subprocess.Popen([sys.executable, str(_HERE / "quick.py"), *words], **pipes, **place)  # type: ignore[call-overload]
        self._clients.append(client)
        return client  # type: ignore[no-any-return]

    def run(self, name: str = "job", **environment: str) -> subprocess.Popen[str]:
        """Begin a run; its job notes that it runs."""
        script = f"echo $LEPTON_RUN_ID >> {self.ran}; sleep 0.3"
        return self.begin("run", "--provider", "rental", "--name", name, "--", "sh", "-c", script, **environment)

    def lepton(self, *words: str) -> str:
        """Run a client to its end; what it printed."""
        client = self.begin(*words)
        out = client.communicate(timeout=_PATIENCE)[0]
        assert client.returncode == 0, f"{words} ended with {client.returncode}\n{out}"
        return str(out)

    def books(self) -> Any:
        return httpx.get(f"{self._url}/books", trust_env=False).raise_for_status().json()

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.lepton("ps", "--all", "--json"))
        return found

    def settle(self) -> list[dict[str, Any]]:
        """A fresh client takes over what dead ones left; then nothing costs, and nothing was made or run twice. The runs."""
        self.lepton("follow", "--until-idle")
        self.until(lambda: not self.books()["open"], lambda: f"{self.books()} is still on the bill")
        assert set(self.books()["creates"].values()) <= {1}, self.books()
        runs, ran = self.runs(), Counter(self.ran.read_text().split())
        assert ran == {run["id"]: 1 for run in runs}, runs
        assert {run["state"] for run in runs} <= {"succeeded"}, runs
        assert json.loads(self.lepton("nodes", "--json")) == []
        return runs

    def until(self, holds: Callable[[], bool], words: Callable[[], str]) -> None:
        """Look again until something holds."""
        end = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < end, words()
            time.sleep(0.02)

    def kill(self, client: subprocess.Popen[str]) -> None:
        """End a client and all that it started, with no chance to tidy up."""
        os.killpg(client.pid, signal.SIGKILL)
        client.communicate(timeout=_PATIENCE)

    def close(self) -> None:
        for client in self._clients:
            if client.poll() is None:
                self.kill(client)
            client.stdout.close()  # type: ignore[union-attr]
        self._cloud.terminate()
        self._cloud.communicate(timeout=_PATIENCE)


@pytest.fixture
def scene(tmp_path: Path, where: str) -> Iterator[Scene]:
    """A cloud, and a journal in a file or in PostgreSQL."""
    made = Scene(tmp_path, where)
    yield made
    made.close()
