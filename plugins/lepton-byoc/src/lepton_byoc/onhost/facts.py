"""Facts about a host, other than its GPUs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["host_facts", "record_name"]

_NVIDIA = "0x10de"
_TOOL_SECONDS = 10


def host_facts(root: Path) -> dict[str, Any]:
    """Facts as JSON values; ``None`` for an unknown one.

    Args:
        root: where the host's ``/etc``, ``/proc``, ``/sys`` and ``/dev`` are; not ``/`` in a container.
    """
    system = _os_release(root)
    return {
        "time": time.time(),
        "hostname": read(root / "proc/sys/kernel/hostname"),
        "machine_id": read(root / "etc/machine-id"),
        "boot_id": read(root / "proc/sys/kernel/random/boot_id"),
        "os": system.get("ID"),
        "os_version": system.get("VERSION_ID"),
        "os_title": system.get("PRETTY_NAME"),
        "kernel": read(root / "proc/sys/kernel/osrelease"),
        "arch": os.uname().machine,
        "glibc": _glibc(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "swap_bytes": _swap(root),
        "root": _is_root(),
        "auto_updates": _auto_updates(root),
        "disks": list(_disks(root)),
        "root_disk": _root_disk(root),
        "home_free_bytes": _free(Path.home()),
        "address": _address(),
        "nvidia_cards": _pci_count(root, "0x03"),
        "nvswitches": _pci_count(root, "0x0680"),
        "infiniband": list(_infiniband(root)),
        **_tools(),
    }


def _address() -> str | None:
    """The address of this host that the SSH client connected to; ``None`` if other hosts cannot use it."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return words[2] if len(words) == 4 and not words[2].startswith(("127.", "::1")) else None


def record_name(root: Path) -> str:
    """The name of this host's record; several hosts may share a home."""
    name = read(root / "proc/sys/kernel/hostname") or os.uname().nodename
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)


def read(path: Path) -> str | None:
    """A small file's text, stripped; ``None`` if it is empty or unreadable."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _os_release(root: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in (read(root / "etc/os-release") or "").splitlines())
    return {key: value.strip("\"'") for key, equals, value in lines if equals}


def _glibc() -> str | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (OSError, ValueError):
        return None
    return version if name == "glibc" else None


def _swap(root: Path) -> int | None:
    text = read(root / "proc/swaps")
    if text is None:
        return None
    sizes = [line.split()[2] for line in text.splitlines()[1:] if len(line.split()) > 2]
    return sum(int(size) for size in sizes if size.isdigit()) * 1024


def _is_root() -> bool:
    return os.geteuid() == 0 or _says("sudo", "-n", "true") is not None


def _auto_updates(root: Path) -> bool | None:
    folder = root / "etc/apt/apt.conf.d"
    if not folder.is_dir():
        return None
    text = "\n".join(read(file) or "" for file in sorted(folder.iterdir()))
    found = re.findall(r'^\s*APT::Periodic::Unattended-Upgrade\s+"(\d+)"', text, re.MULTILINE)
    return bool(found) and found[-1] != "0"


def _disks(root: Path) -> Iterator[dict[str, Any]]:
    """Whole disks with data: no loop, memory, optical or mapped devices, which would count twice."""
    for disk in sorted((root / "sys/block").glob("*")):
        if re.match(r"loop|ram|zram|sr|fd|dm-|md|nbd", disk.name) or read(disk / "removable") == "1":
            continue
        size = read(disk / "size")
        yield {
            "name": disk.name,
            "bytes": int(size) * 512 if size else None,
            "kind": _kind(disk),
            "model": read(disk / "device/model"),
        }


def _kind(disk: Path) -> str | None:
    if disk.name.startswith("nvme"):
        return "nvme"
    return {"0": "ssd", "1": "hdd"}.get(read(disk / "queue/rotational") or "")


def _root_disk(root: Path) -> dict[str, Any]:
    disk = os.statvfs(root)
    device = root.stat().st_dev
    node = (root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    whole = next((place for place in (node, *node.parents) if (place / "queue").is_dir()), None)
    return {
        "bytes": disk.f_blocks * disk.f_frsize,
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "kind": _kind(whole) if whole else None,
        "raid": read(whole / "md/level") if whole else None,
    }


def _free(path: Path) -> int | None:
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def _pci_count(root: Path, kind: str) -> int | None:
    devices = root / "sys/bus/pci/devices"
    if not devices.is_dir():
        return None
    return sum(read(d / "vendor") == _NVIDIA and (read(d / "class") or "").startswith(kind) for d in devices.iterdir())


def _infiniband(root: Path) -> Iterator[dict[str, Any]]:
    for port in sorted((root / "sys/class/infiniband").glob("*/ports/*")):
        rate = re.match(r"\d+", read(port / "rate") or "")
        state = (read(port / "state") or "").partition(": ")[2] or None
        yield {"device": port.parent.parent.name, "port": port.name, "state": state, "gbps": int(rate[0]) if rate else None}


def _tools() -> dict[str, Any]:
    """Versions of programs; ``""`` for one that is not installed."""
    return {
        "nvcc": _version("nvcc", "--version", pattern=r"release (\S+?),", also="/usr/local/cuda/bin"),
        "fabric_manager": _version("nv-fabricmanager", "--version", pattern=r"(\d+\.\d+\.\d+)"),
        "fabric_manager_state": _says("systemctl", "is-active", "nvidia-fabricmanager", any_end=True),
        "docker": _version("docker", "--version", pattern=r"version (\S+?),"),
        "podman": _version("podman", "--version", pattern=r"version (\S+)"),
        "container_toolkit": _version("nvidia-ctk", "--version", pattern=r"version (\S+)"),
        "torchrun": "yes" if shutil.which("torchrun") else "",
        "rsync": "yes" if shutil.which("rsync") else "",
    }


def _version(program: str, *words: str, pattern: str, also: str = "") -> str | None:
    path = shutil.which(program) or (shutil.which(program, path=also) if also else None)
    if path is None:
        return ""
    match = re.search(pattern, _says(path, *words) or "")
    return match[1] if match else None


def _says(*argv: str, any_end: bool = False) -> str | None:
    """A program's output; ``None`` if it is missing, fails, or takes too long."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TOOL_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = done.stdout.decode(errors="replace").strip()
    return (said or None) if any_end else said if done.returncode == 0 else None
