"""The double's machines: hosts of loopback on which a real sshd listens, or addresses where nothing is."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = ["Machines"]

# Its own terms keep the host's settings out; the home of each machine is a folder of its own.
_SSHD = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {authorized_keys}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv HOME={home}
"""
# Addresses that the internet keeps free for documentation (RFC 5737).
_NOWHERE = "198.51.100"


def _own_world() -> list[str]:
    """Processes of its own, where that is allowed: sessions and jobs leave sshd's group and must end with the machine."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        return []
    return [unshare, "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]


class Machines:
    """Starts one process for each machine and ends it with everything that it started.

    Args:
        folder: where machines keep their files.
        command: run to start one; ``{address}``, ``{port}``, ``{user}``, ``{authorized_keys}`` and ``{folder}`` are filled
            in. Empty: no process, and an address where nothing is.
        sshd: path of an sshd that is used instead of a command.
        port: where each machine's sshd listens, at an address of its own.
    """

    def __init__(self, folder: Path, command: str = "", sshd: str = "", port: int = 2222) -> None:
        self._folder = folder
        self._command = command
        self._sshd = sshd
        self._port = port
        self._count = 0
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        # Linux answers on all of 127/8; two doubles on one host must not share an address.
        self._block = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}"

    def start(self, name: str, public_key: str) -> str:
        """Start a machine.

        Returns:
            Its address.
        """
        self._count += 1
        real = self._command or self._sshd
        address = f"{self._block if real else _NOWHERE}.{self._count % 250 + 2}"
        if real:
            folder = self._folder / name
            (folder / "home").mkdir(parents=True)
            (folder / "authorized_keys").write_text(f"{public_key}\n")
            self._running[name] = self._process(folder, address)
        return address

    def _process(self, folder: Path, address: str) -> subprocess.Popen[bytes]:
        values = {
            "address": address,
            "port": str(self._port),
            "user": getpass.getuser(),
            "authorized_keys": str(folder / "authorized_keys"),
            "folder": str(folder),
            "home": str(folder / "home"),
        }
        command = [word.format_map(values) for word in shlex.split(self._command)] or self._sshd_command(folder, values)
        with (folder / "machine.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # noqa: S603

    def _sshd_command(self, folder: Path, values: dict[str, str]) -> list[str]:
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")]
        subprocess.run(keygen, check=True)  # noqa: S603
        (folder / "sshd_config").write_text(_SSHD.format_map(values))
        return [*_own_world(), self._sshd, "-D", "-e", "-f", str(folder / "sshd_config")]

    def stop(self, name: str) -> None:
        """End a machine; nothing of it goes on."""
        process = self._running.pop(name, None)
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        """End every machine."""
        for name in list(self._running):
            self.stop(name)
