"""Two clouds without an account: each vendor's double with real sshd machines, and ``lepton`` as a user types it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.testing.doubles import DoubleProcess

QUICK = str(Path(__file__).with_name("quick.py"))
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
# The machine is shared, so whatever a test waits for may take long; nothing is asserted of how long.
PATIENCE = 90.0
# Silence is longer than the client's patience in these tests, so that it is the client that gives up; what comes late comes
# within the horizon that is declared for creates.
SECONDS = {"silent-before": 4.0, "silent-after": 4.0, "slow": 1.0, "late": 0.2}

_WITH_HOSTS = ["test_accounts.py", "test_faults.py", "test_kills.py", "test_runs.py", "test_watchdog.py"]
collect_ignore = [] if SSHD and sys.platform == "linux" else _WITH_HOSTS


class Cloud(DoubleProcess):
    """One vendor's double in a process of its own.

    Attributes:
        gpu: something that it sells in more than one region.
        create, end, listing: requests, as regular expressions for ``METHOD /path?query``.
    """

    name: str
    gpu: str
    create: str
    end: str
    listing: str
    options: tuple[str, ...]

    def __init__(self, folder: Path, *more: str) -> None:
        machines = ["--sshd", str(SSHD), "--ssh-port", "0"] if SSHD else []
        super().__init__(self.name, "--boot", "0.2", *self.options, *more, *machines, folder=folder)

    def dollars(self) -> float:
        """The bill."""
        return float(self.ask("/bill")["total"])

    def spoil(self, kind: str, match: str, times: int = 1, after: str = "") -> None:
        """Spoil the next ``times`` requests that match, once one that matches ``after`` was seen."""
        self.tell("/fault", kind=kind, match=match, after=after, times=times, seconds=SECONDS.get(kind, 0.0))

    # What differs between the two vendors.

    def creates(self) -> Counter[str]:
        """How often a create call took effect or was refused, for each token."""
        raise NotImplementedError

    def sell_out(self, *, promise: bool) -> None:
        """Nothing is left of `gpu`; with ``promise``, the listing still says so."""
        raise NotImplementedError

    def leave_one(self) -> None:
        """One machine of `gpu` is left in one region, and none elsewhere."""
        raise NotImplementedError

    def expire(self, *, expired: bool) -> None:
        """The key has expired; neither vendor's contract tells such a key from a wrong one, so neither do the doubles."""
        raise NotImplementedError

    def arrived(self, match: str) -> list[dict[str, Any]]:
        """The exchanges that match and that no fault kept from happening."""
        return [one for one in self.exchanges() if one["status"] is not None and re.search(match, self.line(one))]

    @staticmethod
    def line(exchange: dict[str, Any]) -> str:
        """``METHOD /path?query``."""
        return f"{exchange['method']} {exchange['path']}" + (f"?{exchange['query']}" if exchange["query"] else "")


class Lambda(Cloud):
    name, gpu = "lambda", "A10:1"
    create, end, listing = "POST .*/launch$", "POST .*/terminate", r"GET .*/instances$"
    options = ("--end", "0.1", "--pace", "0", "--launch-pace", "0")

    def creates(self) -> Counter[str]:
        bodies = [json.loads(one["request"]) for one in self.arrived(self.create)]
        return Counter(tag["value"] for body in bodies for tag in body["tags"] if tag["key"] == "lepton-token")

    def sell_out(self, *, promise: bool) -> None:
        if promise:
            self.tell("/settings", deny=True)
        else:
            for region in ("us-east-1", "us-west-1"):
                self.tell("/stock", type="gpu_1x_a10", region=region, left=0)

    def leave_one(self) -> None:
        self.sell_out(promise=False)
        self.tell("/stock", type="gpu_1x_a10", region="us-east-1", left=1)

    def expire(self, *, expired: bool) -> None:
        self.tell("/key", key="double-key", account="main", expired=expired)


class Crusoe(Cloud):
    name, gpu = "crusoe", "L40S:1"
    create, end, listing = r"POST .*/vms/instances$", r"DELETE .*/vms/instances/", r"GET .*/vms/instances(\?|$)"
    options = ("--ending", "0.1")

    def __init__(self, folder: Path, *more: str) -> None:
        super().__init__(folder, *more)
        self.environment["LEPTON_SDK_PROVIDERS_CRUSOE_PRICES"] = "l40s-48gb=1.50"
        self.tell("/settings", per_second=1000)

    def open(self) -> list[str]:
        """Names of what is billed now."""
        return sorted(row["name"] for row in self.ask("/bill")["rows"] if row["until"] is None)

    def creates(self) -> Counter[str]:
        return Counter(json.loads(one["request"])["name"].split("-")[2] for one in self.arrived(self.create))

    def sell_out(self, *, promise: bool) -> None:
        for location in ("us-east1-a", "us-northcentral1-a"):
            place = {"type": "l40s-48gb.1x", "region": location}
            self.tell("/stock", **place, left=0)
            if promise:
                self.tell("/promise", **place, left=3)

    def leave_one(self) -> None:
        self.sell_out(promise=False)
        self.tell("/stock", type="l40s-48gb.1x", region="us-east1-a", left=1)
        self.tell("/promise", type="l40s-48gb.1x", region="us-east1-a", left=2)

    def expire(self, *, expired: bool) -> None:
        self.tell("/settings", expired=expired)


CLOUDS = {kind.name: kind for kind in (Lambda, Crusoe)}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    """Starts a cloud by its name, with more options for its double."""
    started: list[Cloud] = []

    def one(name: str, *options: str) -> Cloud:
        started.append(CLOUDS[name](tmp_path, *options))
        return started[-1]

    yield one
    for cloud in started:
        cloud.close()


@pytest.fixture(params=sorted(CLOUDS))
def cloud(request: pytest.FixtureRequest, start: Callable[..., Cloud]) -> Cloud:
    """Each of the two."""
    return start(request.param)


class Lepton:
    """The command, in a home of its own; every client of a test shares one journal.

    Attributes:
        environment: variables that tests may change.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        (folder / "work").mkdir(parents=True, exist_ok=True)
        ours = {"HOME": str(folder), "LEPTON_SDK_STATE": str(folder / "state"), "LEPTON_SDK_CACHE": str(folder / "cache")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_SDK_", "XDG_"))}
        self.environment = {**kept, **ours, **environment, "PYTHONDONTWRITEBYTECODE": "1"}
        self._folder = folder

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start it, in a process group of its own."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        place = {"cwd": self._folder / "work", "env": self.environment, "start_new_session": True}
        return subprocess.Popen([sys.executable, QUICK, *words], stdin=subprocess.DEVNULL, **pipes, **place)  # type: ignore[call-overload, no-any-return]

    def __call__(self, *words: str, code: int | None = 0) -> str:
        """Run it; what it printed. ``code``: how it must end, ``None`` for any."""
        process = self.begin(*words)
        out, error = process.communicate(timeout=PATIENCE * 2)
        assert code in (None, process.returncode), f"{words} ended with {process.returncode}\n{out}\n{error}"
        return out + error

    def runs(self) -> list[dict[str, Any]]:
        """Every run, newest first."""
        found: list[dict[str, Any]] = json.loads(self("ps", "--all", "--json"))
        return found

    def settle(self, cloud: Cloud) -> None:
        """A fresh client takes over what dead ones left, until nothing is open; then nothing may be on the bill."""
        self("follow", "--until-idle")
        until(lambda: not cloud.open(), lambda: f"{cloud.open()} is still on the bill")
        assert set(cloud.creates().values()) <= {1}, cloud.creates()


def until(holds: Callable[[], bool], words: Callable[[], str]) -> None:
    """Look again until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, words()
        time.sleep(0.05)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool], Callable[[], str]], None]:
    """See `until`."""
    return until


@pytest.fixture
def lepton(tmp_path: Path, cloud: Cloud) -> Lepton:
    return Lepton(tmp_path, cloud.environment)


@pytest.fixture
def make_lepton(tmp_path: Path) -> Callable[..., Lepton]:
    """A command that sees several clouds."""

    def make(*clouds: Cloud) -> Lepton:
        return Lepton(tmp_path, {name: value for cloud in clouds for name, value in cloud.environment.items()})

    return make


@pytest.fixture
def kill() -> Callable[[subprocess.Popen[str]], None]:
    """End a client and all that it started, with no chance to tidy up."""

    def now(process: subprocess.Popen[str]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)

    return now
