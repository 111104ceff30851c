"""Machines for the double of a cloud: loopback addresses with a real sshd, or addresses without a host."""

from __future__ import annotations

import getpass
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from attrs import define, field

from lepton_sdk._clock import SystemClock

__all__ = ["SSHMachines"]

_FIRST = Path(__file__).with_name("machine.sh")
# An explicit configuration, without the host's settings; each machine has a folder of its own as home.
_SSHD = """\
ListenAddress {address}
Port {port}
HostKey "{folder}/host_key"
PidFile "{folder}/sshd.pid"
AuthorizedKeysFile "{authorized_keys}"
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv "HOME={home}"
"""
# Addresses that are reserved for documentation (RFC 5737).
_NOWHERE = "198.51.100"
_NUMBERS = itertools.count()


@define
class _Running:
    folder: Path
    process: subprocess.Popen[bytes]
    ended_at: datetime | None = field(default=None, init=False)

    def watch(self) -> None:
        self.process.wait()
        self.ended_at = SystemClock().now()


class SSHMachines:
    """The machines that a double of a cloud rents out: each is a real sshd at its own loopback address.

    If the double runs as root on Linux, each machine has its own processes, ``/run`` and ``/var/lib``: its start-up script
    runs there, no process of a job outlives it, and powering it off ends only this machine. Elsewhere it shares them with
    this host, and start-up scripts do not run. Its files are deleted when it is stopped, and when the process that started
    it dies.

    Args:
        sshd: path of the sshd; the user who started the double can log in.
        command: instead of sshd, a command that acts as one machine in the foreground, with ``{address}``, ``{port}``,
            ``{user}``, ``{authorized_keys}``, ``{folder}``, ``{home}`` and ``{startup}`` (the file with the start-up script).
            Without both, machines have addresses without a host.
        port: the port of each machine, at its own address.
    """

    def __init__(self, sshd: str = "", command: str = "", port: int = 2222) -> None:
        self.port = port
        self._sshd, self._command = sshd, command
        self._running: dict[str, _Running] = {}

    @property
    def _own(self) -> bool:
        return bool(self._sshd) and not self._command and _can_have_a_world()

    @property
    def run_scripts(self) -> bool:
        """Whether machines run their start-up scripts."""
        return self._own or "{startup}" in self._command

    def start(self, name: str, public_key: str, startup_script: str = "") -> str:
        """Start a machine.

        Args:
            startup_script: a script that the superuser runs there at boot; ``""`` for none.

        Returns:
            Its address.
        """
        # Linux answers on all of 127/8; two doubles on one host must not share an address.
        block = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}" if self._sshd or self._command else _NOWHERE
        address = f"{block}.{next(_NUMBERS) % 250 + 2}"
        if block != _NOWHERE:
            folder = Path(mkdtemp(prefix="lepton-machine-"))
            values = self._furnish(folder, address, public_key, startup_script)
            self._running[name] = running = _Running(folder, self._process(folder, values))
            threading.Thread(target=running.watch, daemon=True).start()
        return address

    def off_since(self, name: str) -> datetime | None:
        """When a machine powered itself off, UTC; ``None`` while it runs."""
        running = self._running.get(name)
        return running.ended_at if running else None

    def stop(self, name: str) -> None:
        """End a machine with all its processes and files. An unknown machine is fine."""
        running = self._running.pop(name, None)
        if running is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
        if running.process.stdin is not None:
            running.process.stdin.close()
        shutil.rmtree(running.folder, ignore_errors=True)

    def stop_all(self) -> None:
        """End every machine."""
        for name in list(self._running):
            self.stop(name)

    def _furnish(self, folder: Path, address: str, public_key: str, startup_script: str) -> dict[str, str]:
        files = {name: folder / name for name in ("authorized_keys", "home", "startup")}
        files["home"].mkdir()
        files["authorized_keys"].write_text(f"{public_key}\n")
        files["startup"].write_text(startup_script)
        files["startup"].chmod(0o700)
        about = {"address": address, "port": str(self.port), "user": getpass.getuser(), "folder": str(folder)}
        return about | {name: str(path) for name, path in files.items()}

    def _process(self, folder: Path, values: dict[str, str]) -> subprocess.Popen[bytes]:
        words = [word.format_map(values) for word in shlex.split(self._command)] or self._sshd_command(folder, values)
        command = [*_first(folder, own=self._own), *words]
        with (folder / "machine.log").open("wb") as log:
            # We keep its standard input open: it ends when we are gone.
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)  # noqa: S603

    def _sshd_command(self, folder: Path, values: dict[str, str]) -> list[str]:
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")]
        subprocess.run(keygen, check=True)  # noqa: S603
        (folder / "sshd_config").write_text(_SSHD.format_map(values))
        return [self._sshd, "-D", "-e", "-f", str(folder / "sshd_config")]


def _first(folder: Path, *, own: bool) -> list[str]:
    """The command that starts a machine; the login options follow."""
    spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--time"]
    if own:
        # A machine that has just booted has an uptime of zero.
        spaces.append(f"--boottime=-{int(float(Path('/proc/uptime').read_text().split()[0]))}")
    return [*(spaces if own else []), "/bin/sh", str(_FIRST), "own" if own else "shared", str(folder)]


@cache
def _can_have_a_world() -> bool:
    """Whether machines can have their own processes and folders here: tries once."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    with TemporaryDirectory(prefix="lepton-machine-") as folder:
        command = [*_first(Path(folder), own=True), "true"]
        held = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603
        held.wait()
        assert held.stdin is not None
        held.stdin.close()
        return held.returncode == 0
