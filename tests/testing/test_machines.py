"""The machines of a double: real sshd hosts that end by themselves, by their owner's word, and with their owner."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lepton_sdk.testing.doubles import SSHMachines

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(SSHD is None or sys.platform != "linux", reason="sshd on Linux's loopback addresses is needed")
# A double's process, which starts a machine, says its address and folder, and waits for its end.
_OWNER = """
import sys
from lepton_sdk.testing.doubles import SSHMachines
machines = SSHMachines(sys.argv[1], port=int(sys.argv[2]))
print(machines.start("one", sys.argv[3]), machines._running["one"].folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where machines keep what they are made of, so that what is left of them can be seen."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    return tmp_path / "key"


@pytest.fixture
def machines(port: int) -> Iterator[SSHMachines]:
    machines = SSHMachines(str(SSHD), port=port)
    yield machines
    machines.stop_all()


@pytest.fixture
def own(machines: SSHMachines) -> SSHMachines:
    if not machines.run_scripts:
        pytest.skip("mount, process and time namespaces, and root, are needed for machines of their own")
    return machines


@pytest.fixture
def ask(key: Path, port: int) -> Callable[[str, str], str]:
    """Run a command on a machine, which may still be booting; what it said."""

    def now(address: str, command: str) -> str:
        options = ["ConnectionAttempts=60", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        words = ["ssh", "-F", "none", "-i", str(key), "-p", str(port), *(word for one in options for word in ("-o", one))]
        done = subprocess.run([*words, address, command], capture_output=True, text=True, timeout=120, check=False)
        return done.stdout or done.stderr

    return now


def _answers(address: str, port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex((address, port)) == 0


def _until(holds: Callable[[], object], words: str) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, words
        time.sleep(0.02)


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def test_people_get_in_by_their_key_and_nothing_is_left_of_it(
    machines: SSHMachines, key: Path, ask: Callable[[str, str], str], own_temporary_folder: Path
) -> None:
    one, two = (machines.start(name, _public(key)) for name in ("one", "two"))
    assert one != two
    assert ask(one, "echo in; cd; pwd").split() == ["in", str(machines._running["one"].folder / "home")]
    assert machines.off_since("one") is None
    machines.stop("one")
    machines.stop("one")
    assert not _answers(one, machines.port)
    assert ask(two, "echo in") == "in\n"
    machines.stop_all()
    assert list(own_temporary_folder.iterdir()) == []


def test_a_job_that_left_its_session_ends_with_its_machine(own: SSHMachines, key: Path, ask: Callable[[str, str], str]) -> None:
    address = own.start("one", _public(key))
    mark = f"{600 + os.getpid() % 97}.{os.getpid()}"
    ask(address, f"setsid sleep {mark} >/dev/null 2>&1 </dev/null &")

    def alive() -> bool:
        return mark in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout

    _until(alive, "the job never began")
    own.stop("one")
    assert not alive()


def test_a_start_up_script_runs_as_root_in_folders_of_the_machines_own(
    own: SSHMachines, key: Path, ask: Callable[[str, str], str]
) -> None:
    folder = Path("/var/lib", f"lepton-test-{os.getpid()}")
    address = own.start("one", _public(key), f"#!/bin/sh\nmkdir {folder} && id -u >{folder}/who\n")
    other = own.start("two", _public(key))
    _until(lambda: ask(address, f"cat {folder}/who") == "0\n", "the script never ran")
    assert not folder.exists()
    assert "No such file" in ask(other, f"ls {folder}")
    assert "No such file" in ask(address, "ls /run/systemd/system")
    # It has just booted, whatever the host's age.
    assert float(ask(address, "cat /proc/uptime").split()[0]) < 600


@pytest.mark.parametrize("command", ["systemctl poweroff", "poweroff"])
def test_power_off_ends_this_machine_and_no_other(
    command: str, own: SSHMachines, key: Path, ask: Callable[[str, str], str]
) -> None:
    other = own.start("other", _public(key))
    began = datetime.now(UTC)
    own.start("one", _public(key), f"#!/bin/sh\n{command}\n")
    _until(lambda: own.off_since("one"), "it never went off")
    since = own.off_since("one")
    assert since is not None
    assert began <= since <= datetime.now(UTC)
    assert ask(other, "echo in") == "in\n"
    assert own.off_since("other") is None
    own.stop("one")
    assert own.off_since("one") is None


def test_the_kernel_of_the_host_is_out_of_reach(own: SSHMachines, key: Path, ask: Callable[[str, str], str]) -> None:
    address = own.start("one", _public(key))
    # What the superuser asks of the kernel itself ends the machine as well, and the host is still there to see it.
    script = "import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)"
    ask(address, f"(echo h >/proc/sysrq-trigger) 2>/dev/null; {sys.executable} -c '{script}'")
    _until(lambda: own.off_since("one"), "it never went off")


def test_a_machine_ends_with_the_process_that_started_it(
    port: int, key: Path, ask: Callable[[str, str], str], own_temporary_folder: Path
) -> None:
    words = [sys.executable, "-c", _OWNER, str(SSHD), str(port), _public(key)]
    owner = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    address, folder = owner.stdout.readline().split()
    assert ask(address, "echo in") == "in\n"
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    _until(lambda: not Path(folder).exists(), "the folder is still there")
    _until(lambda: not _answers(address, port), "somebody still answers")
    assert list(own_temporary_folder.iterdir()) == []


def test_a_command_of_ones_own_gets_the_script(port: int, tmp_path: Path) -> None:
    machines = SSHMachines(command=f"sh -c 'cat {{startup}} >{tmp_path}/said; exec sleep 600'", port=port)
    try:
        assert machines.run_scripts
        machines.start("one", "ssh-ed25519 AAAA", "#!/bin/sh\ntrue\n")
        _until(lambda: (tmp_path / "said").exists() and (tmp_path / "said").read_text(), "the command never ran")
        assert (tmp_path / "said").read_text() == "#!/bin/sh\ntrue\n"
    finally:
        machines.stop_all()


def test_with_nothing_to_run_nobody_answers(own_temporary_folder: Path) -> None:
    machines = SSHMachines()
    assert machines.start("one", "ssh-ed25519 AAAA", "#!/bin/sh\n").startswith("198.51.100.")
    assert not machines.run_scripts
    machines.stop("one")
    assert list(own_temporary_folder.iterdir()) == []
