"""Preflight: whether a host may join the fleet. Each requirement with the value found, the value needed, and the fix. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen

__all__ = ["PROFILES", "Row", "Verdict", "preflight"]

Probe = Mapping[str, Any]
# None: unknown.
Test = Callable[[Probe], bool | None]

_GB, _TB = 10**9, 10**12


class Verdict(StrEnum):
    """The result of a requirement."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNKNOWN = "unknown"


@frozen
class Row:
    """One requirement, and a host's result."""

    name: str
    verdict: Verdict
    seen: str
    wanted: str
    fix: str = ""

    def to_dict(self) -> dict[str, str]:
        """The row as JSON keys."""
        fix = "" if self.verdict is Verdict.PASS else self.fix
        return {"name": self.name, "verdict": str(self.verdict), "seen": self.seen, "wanted": self.wanted, "fix": fix}


@frozen
class _Requirement:
    name: str
    wanted: str
    seen: Callable[[Probe], object]
    holds: Test
    fix: str
    recommended: bool = False

    def row(self, probe: Probe) -> Row:
        value, holds = self.seen(probe), self.holds(probe)
        verdict = Verdict.UNKNOWN if holds is None else Verdict.PASS if holds else Verdict.FAIL
        shown = "unknown" if value is None else "none" if value == "" else str(value)
        return Row(self.name, verdict, shown, self.wanted, self.fix)


def preflight(probe: Probe, profile: str = "lepton") -> list[Row]:
    """Every requirement of a profile.

    Args:
        profile: ``lepton``: what DGX Cloud Lepton requires of machines that users bring (docs.nvidia.com, read 2026-11).
            ``basic``: what our own executor and probe need.
    """
    return [requirement.row(probe) for requirement in PROFILES[profile]]


def _numbers(text: object) -> tuple[int, ...] | None:
    found = re.findall(r"\d+", str(text)) if text else []
    return tuple(map(int, found[:3])) or None


def _at_least(value: object, least: tuple[int, ...]) -> bool | None:
    numbers = _numbers(value)
    return None if numbers is None else numbers >= least


def _fact(name: str) -> Callable[[Probe], Any]:
    return lambda probe: probe["host"][name]


def _os_is_new(probe: Probe) -> bool | None:
    host = probe["host"]
    if not host["os"] or not host["os_version"]:
        return None
    year, _, month = str(host["os_version"]).partition(".")
    return host["os"] == "ubuntu" and month == "04" and int(year) >= 22 and int(year) % 2 == 0


def _kernel(probe: Probe) -> bool | None:
    numbers = _numbers(probe["host"]["kernel"])
    if numbers is None:
        return None
    if probe["host"]["os_version"] == "22.04":
        return numbers[:2] in ((5, 15), (6, 8))
    return numbers[:2] >= (5, 15)


def _driver(probe: Probe) -> bool | None:
    version = probe["driver"]["version"]
    numbers = _numbers(version)
    if numbers is None:
        return None if probe["driver"]["state"] == "broken" else False
    return numbers >= (550, 144, 3) or (numbers[0] == 535 and numbers >= (535, 230, 2))


def _fabric_manager(probe: Probe) -> bool | None:
    host = probe["host"]
    if host["nvswitches"] is None:
        return None
    if not host["nvswitches"]:
        return True
    return None if host["fabric_manager"] is None else host["fabric_manager"] == probe["driver"]["version"]


def _seen_fabric_manager(probe: Probe) -> str | None:
    host = probe["host"]
    return "no NVSwitch" if host["nvswitches"] == 0 else host["fabric_manager"]


def _root_disk(probe: Probe) -> bool | None:
    disk = probe["host"]["root_disk"]
    if disk["kind"] is None:
        return None
    fit = disk["raid"] == "raid1" if disk["raid"] else disk["kind"] == "nvme"
    return bool(fit and disk["bytes"] >= _TB)


def _seen_root_disk(probe: Probe) -> str:
    disk = probe["host"]["root_disk"]
    return f"{disk['bytes'] / _TB:.2f} TB, {disk['raid'] or disk['kind'] or 'kind unknown'}"


def _storage(probe: Probe) -> int | None:
    """Local disks in bytes; ``None`` if a size is unreadable or there is no disk."""
    sizes = [disk["bytes"] for disk in probe["host"]["disks"]]
    return None if not sizes or None in sizes else sum(sizes)


def _storage_per_gpu(probe: Probe) -> bool | None:
    storage = _storage(probe)
    return None if storage is None or not probe["gpus"] else storage >= 640 * _GB * len(probe["gpus"])


def _seen_per_gpu(probe: Probe) -> str | None:
    storage, gpus = _storage(probe), len(probe["gpus"])
    return None if storage is None or not gpus else f"{storage / _GB / gpus:.0f} GB for each of {gpus}"


def _data_disk(probe: Probe) -> bool | None:
    storage = _storage(probe)
    return None if storage is None else storage >= 20 * _TB


def _seen_storage(probe: Probe) -> str | None:
    storage = _storage(probe)
    return None if storage is None else f"{storage / _TB:.2f} TB"


_UPDATES = "echo 'APT::Periodic::Unattended-Upgrade \"0\";' | sudo tee /etc/apt/apt.conf.d/20auto-upgrades"

_LEPTON = (
    _Requirement("os", "Ubuntu 22.04 LTS or a newer LTS", _fact("os_title"), _os_is_new, "install Ubuntu 22.04 or 24.04"),
    _Requirement(
        "kernel",
        "5.15 or 6.8 on 22.04, else 5.15 or newer",
        _fact("kernel"),
        _kernel,
        "sudo apt-get install linux-generic-hwe-22.04",
    ),
    _Requirement(
        "root", "root, or sudo without a password", _fact("root"), _fact("root"), "sudo visudo: USER ALL=(ALL) NOPASSWD: ALL"
    ),
    _Requirement(
        "swap",
        "off",
        _fact("swap_bytes"),
        lambda p: None if p["host"]["swap_bytes"] is None else not p["host"]["swap_bytes"],
        "sudo swapoff -a, and take the swap lines out of /etc/fstab",
    ),
    _Requirement(
        "auto-updates",
        "off",
        _fact("auto_updates"),
        lambda p: None if p["host"]["auto_updates"] is None else not p["host"]["auto_updates"],
        _UPDATES,
    ),
    _Requirement(
        "glibc",
        "2.32 or newer",
        _fact("glibc"),
        lambda p: _at_least(p["host"]["glibc"], (2, 32)),
        "install Ubuntu 22.04 or newer",
    ),
    _Requirement(
        "driver",
        "550.144.03 or newer, or 535.230.02 or newer of 535",
        lambda p: p["driver"]["version"] or p["driver"]["said"],
        _driver,
        "sudo apt-get install nvidia-driver-550-server",
    ),
    _Requirement(
        "cuda-toolkit",
        "12.4 or newer, with nvcc (recommended)",
        _fact("nvcc"),
        lambda p: False if p["host"]["nvcc"] == "" else _at_least(p["host"]["nvcc"], (12, 4)),
        "sudo apt-get install cuda-toolkit-12-4",
    ),
    _Requirement(
        "fabric-manager",
        "the driver's version, where there are NVSwitches",
        _seen_fabric_manager,
        _fabric_manager,
        "sudo apt-get install nvidia-fabricmanager-550, of the driver's own version",
    ),
    _Requirement(
        "root-disk",
        "1 TB or more on NVMe, RAID-1 (recommended)",
        _seen_root_disk,
        _root_disk,
        "set the root disk up as RAID-1 of two NVMe SSDs",
    ),
    _Requirement("data-disk", "20 TB or more (recommended)", _seen_storage, _data_disk, "add local NVMe SSDs"),
    _Requirement(
        "storage-per-gpu", "640 GB or more of local storage for each GPU", _seen_per_gpu, _storage_per_gpu, "add local NVMe SSDs"
    ),
    _Requirement(
        "cpu", "x86_64 or aarch64", _fact("arch"), lambda p: p["host"]["arch"] in ("x86_64", "aarch64"), "bring another machine"
    ),
)


def _home(probe: Probe) -> bool | None:
    free = probe["host"]["home_free_bytes"]
    return None if free is None else free >= 10 * _GB


def _containers(probe: Probe) -> bool | None:
    host = probe["host"]
    return None if None in (host["docker"], host["podman"]) else bool(host["docker"] or host["podman"])


def _answers(probe: Probe) -> bool | None:
    cards = probe["host"]["nvidia_cards"]
    return True if probe["driver"]["state"] == "ready" else None if cards is None else not cards


_BASIC = (
    _Requirement(
        "home",
        "10 GB or more free in the user's home",
        lambda p: _gigabytes(p["host"]["home_free_bytes"]),
        _home,
        "free some disk",
    ),
    _Requirement(
        "driver",
        "one that answers, where there is an NVIDIA card",
        lambda p: p["driver"]["version"] or p["driver"]["said"],
        _answers,
        "sudo apt-get install nvidia-driver-550-server",
    ),
    _Requirement(
        "containers",
        "Docker or podman, for jobs with an image",
        lambda p: p["host"]["docker"] or p["host"]["podman"],
        _containers,
        "sudo apt-get install podman",
    ),
)

PROFILES: Mapping[str, tuple[_Requirement, ...]] = {"lepton": _LEPTON, "basic": _BASIC}


def _gigabytes(value: int | None) -> str | None:
    return None if value is None else f"{value / _GB:.0f} GB"
