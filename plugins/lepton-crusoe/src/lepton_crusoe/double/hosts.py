"""Real hosts for the double's machines: one program for each, on a loopback address of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

__all__ = ["Hosts"]

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
SetEnv HOME={folder}/home
"""


def _own_world() -> list[str]:
    """Processes of its own, where that is allowed: sessions and jobs leave sshd's group and must end with the machine."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        return []
    return [unshare, "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]


class Hosts:
    """Starts and ends what plays the machines.

    Args:
        template: a command with ``{address}``, ``{port}``, ``{folder}`` and ``{authorized_keys}``; empty for no hosts.
        port: where the program listens.
        sshd: path of an sshd that is used instead of a command; empty for none.
    """

    def __init__(self, template: str, port: int, sshd: str = "") -> None:
        self._template = template
        self._sshd = sshd
        self._port = port
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._folders: dict[str, Path] = {}
        self._count = 1

    def start(self, machine: str, public_key: str) -> str:
        """Start the host of a machine; its address (one for documentation when there are no hosts)."""
        self._count += 1
        if not (self._template or self._sshd):
            return f"192.0.2.{self._count % 250 + 1}"
        # Linux answers on all of 127/8, so machines can share one port as real ones do; two doubles must not share an address.
        address = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.{self._count % 250 + 1}"
        folder = Path(mkdtemp(prefix="crusoe-double-"))
        keys = folder / "authorized_keys"
        keys.write_text(f"{public_key}\n")
        values = {"address": address, "port": self._port, "folder": folder, "authorized_keys": keys}
        command = [part.format(**values) for part in shlex.split(self._template)] or self._sshd_command(values)
        with (folder / "machine.log").open("wb") as log:
            self._running[machine] = subprocess.Popen(  # noqa: S603 - the user's own command
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._folders[machine] = folder
        return address

    def _sshd_command(self, values: Mapping[str, object]) -> list[str]:
        folder = Path(str(values["folder"]))
        (folder / "home").mkdir()
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")]
        subprocess.run(keygen, check=True)  # noqa: S603
        (folder / "sshd_config").write_text(_SSHD.format_map(values))
        return [*_own_world(), self._sshd, "-D", "-e", "-f", str(folder / "sshd_config")]

    def stop(self, machine: str) -> None:
        """End the host of a machine."""
        process = self._running.pop(machine, None)
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(self._folders.pop(machine), ignore_errors=True)

    def stop_all(self) -> None:
        """End all of them."""
        for machine in list(self._running):
            self.stop(machine)
