"""Real hosts for the double's machines: one program for each, on a loopback address of its own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

__all__ = ["Hosts"]


class Hosts:
    """Starts and ends what plays the machines.

    Args:
        template: a command with ``{address}``, ``{port}``, ``{folder}`` and ``{authorized_keys}``; empty for no hosts.
        port: where the program listens.
    """

    def __init__(self, template: str, port: int) -> None:
        self._template = template
        self._port = port
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._count = 1

    def start(self, machine: str, public_key: str) -> str:
        """Start the host of a machine; its address (one for documentation when there are no hosts)."""
        self._count += 1
        if not self._template:
            return f"192.0.2.{self._count % 250 + 1}"
        # Linux answers on all of 127/8, so machines can share one port as real ones do.
        address = f"127.0.{self._count // 250}.{self._count % 250 + 1}"
        folder = Path(mkdtemp(prefix="crusoe-double-"))
        keys = folder / "authorized_keys"
        keys.write_text(f"{public_key}\n")
        values = {"address": address, "port": self._port, "folder": folder, "authorized_keys": keys}
        command = [part.format(**values) for part in shlex.split(self._template)]
        self._running[machine] = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - the user's own command
        return address

    def stop(self, machine: str) -> None:
        """End the host of a machine."""
        process = self._running.pop(machine, None)
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop_all(self) -> None:
        """End all of them."""
        for machine in list(self._running):
            self.stop(machine)
