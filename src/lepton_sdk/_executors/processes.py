"""Which processes belong to an execution, found without ever trusting a process id alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lepton_sdk._executors._kernel import boot_id, descendants, process_entry, process_table, whole_groups

__all__ = ["alive", "send", "signal_keeper", "survivors"]

# No kernel gives a process a higher number.
_HIGHEST = 1 << 31


def alive(start: Mapping[str, Any]) -> bool:
    """Whether the process that claimed the execution still runs: same boot, same pid, same start time."""
    pid = start.get("pid")
    # A number that no process has, for the kernel would choke on it.
    if start.get("boot") != boot_id() or not isinstance(pid, int) or not 0 < pid <= _HIGHEST:
        return False
    if start.get("born") is None:
        return _answers(start["pid"])
    entry = process_entry(start["pid"])
    return entry is not None and entry.runs and entry.born == start["born"]


def _answers(pid: int) -> bool:
    # Without /proc nothing tells a recycled pid; a signal of 0 at least tells whether there is a process.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signal_keeper(start: Mapping[str, Any], number: int) -> bool:
    """Signal the process that claimed the execution, never one that has its pid by chance; whether it was reached."""
    pid = start.get("pid")
    if not isinstance(pid, int) or not 1 < pid <= _HIGHEST or pid == os.getpid():
        return False
    try:
        # The descriptor pins the process before its identity is checked, so that no other can take its place.
        handle = os.pidfd_open(pid)
    except AttributeError:
        handle = None
    except OSError:
        return False
    try:
        if not alive(start):
            return False
        _signal(pid, handle, number)
    except ProcessLookupError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


def _signal(pid: int, handle: int | None, number: int) -> None:
    if handle is None:
        os.kill(pid, number)
    else:
        import signal

        signal.pidfd_send_signal(handle, number)


def survivors(start: Mapping[str, Any], folder: Path) -> set[int]:
    """Processes of an execution whose keeper died, and the groups (negative) that hold nothing else.

    A process belongs to it when its environment carries the mark; or when it is in the keeper's session *and* works
    in the execution's folder or writes to its pipe (a session id alone may belong to somebody else by now). What is
    below such a process belongs to it too. One that cleared its environment, made its own session and lost its parent
    is found no more. Without /proc (macOS) nothing is found.
    """
    if start.get("boot") != boot_id():
        return set()
    mark = b"LEPTON_RUN_MARK=" + str(start.get("mark")).encode()
    table = process_table()
    ours = {
        pid
        for pid, process in table.items()
        if process.runs and (_marked(pid, mark) or (process.session == start.get("pid") and _at_home(pid, start, folder)))
    }
    ours -= {os.getpid()}
    ours |= descendants(table, ours) - {os.getpid()}
    return ours | whole_groups(table, ours)


def _marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _at_home(pid: int, start: Mapping[str, Any], folder: Path) -> bool:
    links = [_link(f"/proc/{pid}/{name}") for name in ("fd/1", "fd/2", "cwd")]
    return start.get("pipe") in links[:2] or Path(links[2]).is_relative_to(folder.resolve())


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  # a link of /proc is text, not a path
    except OSError:
        return ""


def send(pids: set[int], number: int) -> None:
    """Signal those of ``pids`` that can be."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
