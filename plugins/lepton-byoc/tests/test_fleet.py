"""One dead host of a fleet costs itself: real sshd, real sockets, the command as a user types it."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.testing.doubles import SSHMachines

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_PORT = 2477
Lepton = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(_SSHD is None or sys.platform != "linux", reason="sshd on Linux is not here")


class FleetOfHosts:
    """Hosts as a user has them in the configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.machines = SSHMachines(str(_SSHD), port=_PORT)
        self.settings = folder / "home" / ".config" / "lepton" / "config.toml"
        self.settings.parent.mkdir(parents=True)
        (folder / "work").mkdir()
        self._sockets: list[socket.socket] = []

    def alive(self, name: str) -> None:
        address = self.machines.start(name, self.key.with_suffix(".pub").read_text().strip())
        self.listed(name, address=address)

    def listed(self, name: str, **fields: object) -> None:
        about = {"port": _PORT, "user": getpass.getuser(), "identity": str(self.key)} | fields
        lines = [
            "",
            "[[providers.byoc.hosts]]",
            *(f"{key} = {json.dumps(value)}" for key, value in {"name": name, **about}.items()),
        ]
        with self.settings.open("a") as file:
            file.write("\n".join(lines) + "\n")
        self.settings.chmod(0o600)

    def hangs(self, name: str) -> None:
        """Somebody takes the connection and never says a word."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        self.listed(name, address="127.0.0.1", port=listener.getsockname()[1])

    def end(self) -> None:
        self.machines.stop_all()
        for one in self._sockets:
            one.close()

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_SDK_", "XDG_"))}
        return subprocess.run(
            [sys.executable, "-m", "lepton_sdk", *words],
            cwd=self.folder / "work",
            env=kept | {"HOME": str(self.folder / "home")},
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def route(self) -> list[str]:
        """The hosts' offers that would be taken."""
        return [one["instance_type"] for one in json.loads(self("route", "--region", "fleet", "--json").stdout)["candidates"]]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetOfHosts]:
    pytest.importorskip("asyncssh")
    fleet = FleetOfHosts(tmp_path)
    yield fleet
    fleet.end()


def _where(fleet: FleetOfHosts) -> dict[str, Any]:
    (run,) = json.loads(fleet("ps", "--all", "--json", "--limit", "1").stdout)
    return dict(run)


def test_dead_hosts_hold_up_neither_this_machine_nor_healthy_ones(fleet: FleetOfHosts) -> None:
    # Both are this host, so the first of them stands for it as long as it answers.
    for name in ("dies", "well"):
        fleet.alive(name)
    assert fleet("byoc", "check").returncode in (0, 1)
    fleet.machines.stop("dies")
    fleet.hangs("hangs")
    fleet.listed("unknown", address="no-such-host.invalid")
    here = fleet("run", "--region", "local", "--", "echo", "here")
    assert (here.returncode, here.stdout) == (0, "here\n"), here.stderr
    for name in ("dies", "hangs", "unknown"):
        assert f"{name} does not say what it holds" in here.stderr
    there = fleet("run", "--region", "fleet", "--no-workdir", "--", "echo", "there")
    assert (there.returncode, there.stdout) == (0, "there\n"), there.stderr
    # What was learned of the dead one is what the plan says of it.
    plan = fleet("route", "--region", "fleet").stdout
    assert "dies did not answer at" in plan
    assert fleet.route() == ["fleet-cpu"]
    listed = fleet("byoc", "list").stdout
    assert "dies did not answer at" in listed
    assert "well did not answer" not in listed


def test_a_fleet_of_dead_hosts_leaves_this_machine(fleet: FleetOfHosts) -> None:
    fleet.alive("dies")
    fleet("byoc", "check")
    fleet.machines.stop("dies")
    assert fleet.route() == ["fleet-cpu"]
    # Nobody knew; whoever asks learns it, and then the plan says so.
    refused = fleet("run", "--region", "fleet", "--no-workdir", "--", "true")
    assert refused.returncode == 69
    assert "dies did not answer" in refused.stderr
    assert fleet.route() == []
    assert fleet("run", "--", "true").returncode == 0


def test_a_host_that_shows_another_key_is_named_and_left_out(fleet: FleetOfHosts) -> None:
    fleet.alive("well")
    address = fleet.machines.start("other", fleet.key.with_suffix(".pub").read_text().strip())
    wrong = " ".join(fleet.key.with_suffix(".pub").read_text().split()[:2])
    fleet.listed("other", address=address, host_keys=[wrong])
    assert fleet("byoc", "check", "well").returncode in (0, 1)
    done = fleet("run", "--region", "fleet", "--no-workdir", "--", "echo", "there")
    assert (done.returncode, done.stdout) == (0, "there\n"), done.stderr
    assert "other does not say what it holds" in done.stderr


def test_a_login_that_prints_before_our_answer_is_understood(fleet: FleetOfHosts) -> None:
    fleet.alive("talks")
    (folder,) = [one.folder for one in fleet.machines._running.values()]
    for name in (".bashrc", ".profile", ".zshenv"):
        (folder / "home" / name).write_text("printf 'welcome {to} {\"the\": lab> '\n")
    checked = fleet("byoc", "check", "talks", "--json")
    assert [row.get("error") for row in json.loads(checked.stdout)] == [None], checked.stdout


def test_a_dead_host_can_be_cordoned_and_is_told_when_it_answers(fleet: FleetOfHosts) -> None:
    fleet.alive("dies")
    fleet("byoc", "check")
    text = fleet.settings.read_text()
    fleet.settings.write_text(text.replace(f"port = {_PORT}", "port = 1"))
    done = fleet("byoc", "cordon", "dies", "--reason", "no power")
    assert done.returncode == 0, done.stderr
    assert "is told when it does" in done.stdout
    assert "no power" in fleet("route", "--region", "fleet").stdout
    fleet.settings.write_text(text)
    fleet("byoc", "check")
    # The host has it written down itself by now.
    shutil.rmtree(fleet.folder / "home" / ".cache", ignore_errors=True)
    fleet("byoc", "check")
    assert "no power" in fleet("byoc", "list").stdout
    assert fleet("byoc", "uncordon", "dies").returncode == 0
    assert fleet.route() == ["fleet-cpu"]


def test_a_host_of_the_configuration_is_removed_by_hand_with_the_lines_to_take_out(fleet: FleetOfHosts) -> None:
    fleet.listed("first", address="first.invalid")
    fleet.listed("second", address="second.invalid")
    with fleet.settings.open("a") as file:
        file.write('\n# what may be spent\n[limits]\nhourly = "5"\n')
    done = fleet("byoc", "remove", "second")
    assert done.returncode == 2
    numbered = [line.strip().partition(": ") for line in done.stderr.splitlines() if line.strip()[:1].isdigit()]
    gone = {int(number) for number, _, _ in numbered}
    lines = fleet.settings.read_text().splitlines()
    assert all(lines[int(number) - 1] == line for number, _, line in numbered)
    fleet.settings.write_text("\n".join(line for number, line in enumerate(lines, 1) if number not in gone))
    left = json.loads(fleet("byoc", "list", "--json").stdout)
    assert [row["host"] for row in left] == ["first"]
    assert "# what may be spent" in fleet.settings.read_text()


def test_an_address_of_a_link_is_taken_with_its_interface() -> None:
    from lepton_byoc.roster import FleetHost, parse_target

    host = parse_target("root@[fe80::1%eth0]:22")
    assert (host.name, host.address, host.user, host.port) == ("fe80--1-eth0", "fe80::1%eth0", "root", 22)
    assert FleetHost.parse(host.to_table(), "again") == host
