"""What the keeper of an execution and its clients both ask the kernel. Standard library only, and little of it."""

# pathlib costs more than the rest of the keeper's start-up.
# ruff: noqa: PTH208

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Process",
    "adopt_orphans",
    "boot_id",
    "descendants",
    "now",
    "process_entry",
    "process_table",
    "to_json",
    "whole_groups",
    "write_new",
]


class Process:
    """One line of the process table; ``born`` in clock ticks since boot."""

    __slots__ = ("born", "group", "parent", "runs", "session")

    def __init__(self, parent: int, group: int, session: int, runs: bool, born: int) -> None:
        self.parent, self.group, self.session, self.runs, self.born = parent, group, session, runs, born


def now() -> float:
    """Seconds since boot, suspend included where the platform can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def boot_id() -> str:
    """What changes when the host boots; empty where the platform does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def process_table() -> dict[int, Process]:
    """Every process by its id; empty where there is no /proc."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    return {int(name): entry for name in names if name.isdigit() and (entry := process_entry(int(name)))}


def process_entry(pid: int) -> Process | None:
    """What the kernel says of one process; ``None`` when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name stands in parentheses and may hold spaces and parentheses itself.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(int(fields[1]), int(fields[2]), int(fields[3]), fields[0] not in (b"Z", b"X"), int(fields[19]))


def descendants(table: Mapping[int, Process], roots: set[int]) -> set[int]:
    """Everything below ``roots`` that still runs."""
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        if process.runs:
            children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        fresh = [pid for pid in children.get(todo.pop(), ()) if pid not in found]
        found.update(fresh)
        todo += fresh
    return found - roots


def whole_groups(table: Mapping[int, Process], pids: set[int]) -> set[int]:
    """The process groups that have no member outside ``pids``, as negative numbers, which is how kill(2) names a group.

    A signal to a group also reaches what is being forked in it at this instant; signals to single ids never catch up
    with a tree that forks faster than it is scanned.
    """
    groups = {table[pid].group for pid in pids}
    return {-group for group in groups - {process.group for pid, process in table.items() if pid not in pids}}


def to_json(value: object) -> str:
    """JSON of what the records hold: mappings, lists, text, numbers and ``None``."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_json(k)}: {to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, str):
        units = value.encode("utf-16-be", "surrogatepass")
        codes = (units[i] << 8 | units[i + 1] for i in range(0, len(units), 2))
        return '"' + "".join(chr(c) if 31 < c < 127 and c not in (34, 92) else f"\\u{c:04x}" for c in codes) + '"'
    return repr(value)


def write_new(path: str, data: bytes) -> None:
    """Write a file that must survive a power cut."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def adopt_orphans() -> bool:
    """Make every orphan below us our child (Linux 3.4), so that a double fork or a new session hides nothing."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes

        return ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # type: ignore[no-any-return]  # PR_SET_CHILD_SUBREAPER
    except (ImportError, OSError, AttributeError):
        return False
