"""The CPUs, memory and disk of this host that a process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["boot_id", "cpus", "disk_gib", "has_nvidia_card", "hostname", "memory_gib"]

_GIB = 1 << 30
_SYSTEM = Path("/")


def hostname() -> str:
    """This host's name."""
    return os.uname().nodename


def boot_id(root: Path = _SYSTEM) -> str:
    """A text that changes with every boot; empty where the kernel has none."""
    return _read(root / "proc/sys/kernel/random/boot_id")


def cpus(root: Path = _SYSTEM) -> float:
    """The CPUs that this process may use: its affinity, or fewer if a cgroup limits it."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return round(min([float(affinity), *_cpu_limits(root)]), 2)


def memory_gib(root: Path = _SYSTEM) -> float:
    """Memory in GiB: the host's, or less if a cgroup limits it."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return round(min([total, *_memory_limits(root)]) / _GIB, 2)


def disk_gib(path: Path) -> float:
    """Free disk in GiB where ``path`` is or will be."""
    there = next(place for place in (path, *path.parents) if place.exists())
    disk = os.statvfs(there)
    return round(disk.f_bavail * disk.f_frsize / _GIB, 1)


def has_nvidia_card(root: Path = _SYSTEM) -> bool:
    """Whether the PCI bus shows a display or compute device of NVIDIA (vendor 0x10de, class 0x03…)."""
    return any(
        _read(device / "vendor") == "0x10de" and _read(device / "class").startswith("0x03")
        for device in root.glob("sys/bus/pci/devices/*")
    )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of our cgroup for a controller, and of all its parents: each limits us."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / (controller if controllers else "")
        own = base / path.lstrip("/")
        # In a container the path may be one of the host's tree, while only the container's part is mounted.
        yield from (group for group in (own, *own.parents) if group.is_relative_to(base))


def _cpu_limits(root: Path) -> Iterator[float]:
    for group in _groups(root, "cpu"):
        quota, _, period = _read(group / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[int]:
    for group in _groups(root, "memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        if limit.isdecimal() and int(limit):
            yield int(limit)
