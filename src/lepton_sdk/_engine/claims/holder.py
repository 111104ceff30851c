"""The name of the process that has a claim. From it another process on this host can tell whether the holder still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["in_words", "is_alive", "is_here", "this_process"]


def this_process(nonce: str) -> str:
    """``host/boot/pid/start time/nonce``: a process id alone is used again after a while."""
    return "/".join((socket.gethostname(), _boot_id(), str(os.getpid()), _start_time(os.getpid()) or "0", nonce))


def is_alive(holder: str) -> bool:
    """Return True if the holder may still exist. A holder on another host always may: we cannot know."""
    parts = holder.split("/")
    if len(parts) != 5 or parts[0] != socket.gethostname():
        return True
    if parts[1] != _boot_id():
        return False
    if parts[3] == "0":
        # Without /proc only the process id is known.
        return _exists(int(parts[2]))
    return _start_time(int(parts[2])) == parts[3]


def is_here(holder: str) -> bool:
    """Return True if the holder certainly lives, as a process of this host and this boot."""
    parts = holder.split("/")
    return len(parts) == 5 and parts[:2] == [socket.gethostname(), _boot_id()] and is_alive(holder)


def in_words(holder: str) -> str:
    """A holder, as users see it: its process and its host."""
    parts = holder.split("/")
    return f"process {parts[2]} on host {parts[0]}" if len(parts) == 5 else f"the follower {holder}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_time(pid: int) -> str | None:
    """Clock ticks from boot to the process's start (proc(5), field 22); ``None`` for no such process, or a zombie."""
    try:
        # The second field is the command in brackets, which may hold spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"
