"""The user's own ssh on a machine of a run: a shell in the run's folder, a port, a block for an editor."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, RunState
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import NodeUnreachable, UsageError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

_SERVE = "echo page > index.html; echo ready; exec {python} -m http.server --bind 127.0.0.1 {port}"


class BehindSSH(FakeProvider):
    """A cloud whose machines are all one sshd."""

    access = SSHAccess("127.0.0.1", user="")

    def _node(self, record: dict[str, Any]) -> Node:
        return evolve(super()._node(record), access=self.access)


@pytest.fixture
def client(server: Any, tmp_path: Path, own_home: Path) -> Iterator[Client]:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed (openssh-client)")
    cloud = BehindSSH(tmp_path / "cloud")
    key = str(own_home / ".ssh/id_ed25519")
    cloud.access = SSHAccess("127.0.0.1", user="", port=server.port, host_keys=(server.host_key,), identity=key)
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        yield client


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def serving(client: Client, free_port: int, until: Callable[..., Any]) -> Iterator[int]:
    """A run that serves a page on a port of its machine."""
    output: list[bytes] = []
    job = Job(_SERVE.format(python=sys.executable, port=free_port), resources="H100:8", name="page", workload="interactive")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, job, on_output=output.append)
        until(lambda: b"ready" in b"".join(output))
        yield free_port
        client.stop("page")
        assert running.result(60).state is RunState.STOPPED


def test_a_command_runs_in_the_folder_of_the_run(client: Client, serving: int) -> None:
    argv = client.reach("page").shell("""cat index.html; echo "it's $HOME" '$(x)'""")
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "page"
    assert done.stdout.splitlines()[1].startswith("it's /")
    assert done.stdout.splitlines()[1].endswith(" $(x)")


def test_a_port_comes_here(client: Client, serving: int, until: Callable[..., Any]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        here = probe.getsockname()[1]

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{here}/index.html", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    with subprocess.Popen(client.reach("page").forward(here, serving)) as forward:
        try:
            assert until(page) == "page\n"
        finally:
            forward.terminate()


def test_a_block_for_an_editor_reaches_the_machine(client: Client, serving: int, tmp_path: Path) -> None:
    run = client.get("page")
    (tmp_path / "config").write_text(client.reach("page").config())
    argv = ["ssh", "-F", str(tmp_path / "config"), f"{run.id}-0", "echo $((6 * 7))"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "42\n"


def test_a_block_for_an_editor_says_what_the_users_settings_say_of_the_host(
    client: Client, serving: int, server: Any, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider knows the machine by a name that only the user's own settings know."""
    settings = tmp_path / "settings"
    key = own_home / ".ssh/id_ed25519"
    settings.write_text(f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {key}\n  ServerAliveInterval 7\n")
    (tmp_path / "bin").mkdir()
    # The real ssh, with other settings than those of whoever runs the tests.
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {settings} "$@"\n')
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    reach = client.reach("page")
    record = client.get("page").members[0]
    assert record.node is not None
    known = evolve(record.node, access=SSHAccess("box", user="", port=0, host_keys=(server.host_key,)))
    monkeypatch.setattr(reach, "_node", known)
    block = reach.config()
    assert {"  HostName 127.0.0.1", f"  port {server.port}", "  serveraliveinterval 7"} <= set(block.splitlines())
    settings.write_text(settings.read_text() + block)
    done = subprocess.run(["ssh", block.split()[1], "echo $((6 * 7))"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr


def test_another_host_key_is_refused(client: Client, serving: int, tmp_path: Path) -> None:
    argv = client.reach("page").shell("true")
    subprocess.run(argv, check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    (known,) = (tmp_path / "state/runs").glob("*/*/known_hosts")
    name = known.read_text().split()[0]
    known.write_text(f"{name} {(tmp_path / 'other.pub').read_text()}")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "verification failed" in done.stderr


def test_what_cannot_be_reached_says_why(client: Client) -> None:
    run = client.run(Job("true", resources="H100:8"))
    with pytest.raises(NodeUnreachable, match="was given back"):
        client.reach(run.id)
    with pytest.raises(UsageError, match="has no node 3"):
        client.reach(run.id, 3)


def test_a_run_of_this_host_has_a_shell_too(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        run = client.run(Job("echo here > file", resources="H100:8"))
        argv = client.reach(run.id).shell("cat file")
        assert subprocess.run(argv, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout == "here\n"
        with pytest.raises(UsageError, match="runs on this host"):
            client.reach(run.id).forward(1, 2)


@pytest.mark.parametrize("own", [False, True])
def test_ssh_has_the_pins_of_the_executor(
    server: Any, tmp_path: Path, own_home: Path, own: bool, until: Callable[..., Any]
) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed (openssh-client)")
    cloud, output = BehindSSH(tmp_path / "cloud"), list[bytes]()
    key = str(own_home / ".ssh/id_ed25519")
    cloud.access = SSHAccess("127.0.0.1", user="", port=server.port, identity=key, own=own)
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        job = Job("echo ready; sleep 300", resources="H100:8", name="page")
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(client.run, job, on_output=output.append)
            until(lambda: b"ready" in b"".join(output))
            try:
                argv = client.reach("page").shell("true")
                block = client.reach("page").config()
                first = subprocess.run(argv, capture_output=True, text=True, check=False)
                (pin,) = [tmp_path / "state/known_hosts"] if own else (tmp_path / "state/known_hosts.d").iterdir()
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
                pin.write_text(f"{pin.read_text().split()[0]} {(tmp_path / 'other.pub').read_text()}")
                second = subprocess.run(argv, capture_output=True, text=True, check=False)
            finally:
                client.stop("page")
                running.result(60)
    assert (first.returncode, first.stderr) == (0, "")
    assert second.returncode == 255
    assert "verification failed" in second.stderr
    assert ("HostKeyAlias" in block) is not own
