"""Requirements: each passes, fails or is unknown, with what was seen, what is wanted and what mends it."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_byoc.preflight import PROFILES, Verdict, preflight

GOOD: dict[str, Any] = {
    "os": "ubuntu",
    "os_version": "22.04",
    "os_title": "Ubuntu 22.04.5 LTS",
    "kernel": "6.8.0-50-generic",
    "arch": "x86_64",
    "root": True,
    "swap_bytes": 0,
    "auto_updates": False,
    "glibc": "2.35",
    "nvcc": "12.4",
    "nvswitches": 4,
    "nvidia_cards": 8,
    "fabric_manager": "550.144.03",
    "root_disk": {"bytes": 2 * 10**12, "free_bytes": 10**12, "kind": "ssd", "raid": "raid1"},
    "disks": [{"name": f"nvme{n}n1", "bytes": 4 * 10**12, "kind": "nvme"} for n in range(6)],
    "home_free_bytes": 10**12,
    "docker": "27.1",
    "podman": "",
}


def probe(driver: str = "550.144.03", gpus: int = 8, **changes: Any) -> dict[str, Any]:
    state = {"state": "ready" if driver else "absent", "said": None if driver else "no library", "version": driver or None}
    return {"host": GOOD | changes, "driver": state, "gpus": [{}] * gpus}


def _verdicts(seen: dict[str, Any], profile: str = "lepton") -> dict[str, Verdict]:
    return {row.name: row.verdict for row in preflight(seen, profile)}


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_machine_that_meets_all_passes_all(profile: str) -> None:
    assert set(_verdicts(probe(), profile).values()) == {Verdict.PASS}
    assert all(row.to_dict()["fix"] == "" for row in preflight(probe(), profile))


@pytest.mark.parametrize(
    ("name", "changes", "verdict"),
    [
        ("os", {"os": "debian", "os_version": "12"}, Verdict.FAIL),
        ("os", {"os_version": "23.04"}, Verdict.FAIL),
        ("os", {"os_version": "24.04"}, Verdict.PASS),
        ("os", {"os_version": None}, Verdict.UNKNOWN),
        ("kernel", {"kernel": "6.5.0"}, Verdict.FAIL),
        ("kernel", {"kernel": "6.5.0", "os_version": "24.04"}, Verdict.PASS),
        ("root", {"root": False}, Verdict.FAIL),
        ("swap", {"swap_bytes": 1 << 30}, Verdict.FAIL),
        ("swap", {"swap_bytes": None}, Verdict.UNKNOWN),
        ("auto-updates", {"auto_updates": True}, Verdict.FAIL),
        ("glibc", {"glibc": "2.31"}, Verdict.FAIL),
        ("glibc", {"glibc": None}, Verdict.UNKNOWN),
        ("driver", {"driver": "550.90.07"}, Verdict.FAIL),
        ("driver", {"driver": "535.230.02"}, Verdict.PASS),
        ("driver", {"driver": "535.183.01"}, Verdict.FAIL),
        ("driver", {"driver": ""}, Verdict.FAIL),
        ("cuda-toolkit", {"nvcc": ""}, Verdict.FAIL),
        ("cuda-toolkit", {"nvcc": None}, Verdict.UNKNOWN),
        ("fabric-manager", {"fabric_manager": "550.90.07"}, Verdict.FAIL),
        ("fabric-manager", {"fabric_manager": None}, Verdict.UNKNOWN),
        ("fabric-manager", {"nvswitches": 0, "fabric_manager": ""}, Verdict.PASS),
        ("root-disk", {"root_disk": {"bytes": 10**11, "kind": "nvme", "raid": None}}, Verdict.FAIL),
        ("root-disk", {"root_disk": {"bytes": 10**13, "kind": None, "raid": None}}, Verdict.UNKNOWN),
        ("storage-per-gpu", {"disks": [{"bytes": 640 * 10**9 * 8 - 1}]}, Verdict.FAIL),
        ("storage-per-gpu", {"disks": [{"bytes": 640 * 10**9 * 8}]}, Verdict.PASS),
        ("storage-per-gpu", {"gpus": 0}, Verdict.UNKNOWN),
        ("data-disk", {"disks": []}, Verdict.UNKNOWN),
        ("cpu", {"arch": "riscv64"}, Verdict.FAIL),
    ],
)
def test_each_requirement(name: str, changes: dict[str, Any], verdict: Verdict) -> None:
    (row,) = [row for row in preflight(probe(**changes)) if row.name == name]
    assert row.verdict is verdict
    assert row.wanted
    assert row.fix
    assert row.seen


def test_what_cannot_be_read_is_shown_as_unknown() -> None:
    (row,) = [row for row in preflight(probe(glibc=None)) if row.name == "glibc"]
    assert row.to_dict()["seen"] == "unknown"


def test_a_cpu_machine_needs_no_driver_for_us() -> None:
    assert _verdicts(probe(driver="", nvidia_cards=0), "basic")["driver"] is Verdict.PASS
    assert _verdicts(probe(driver="", nvidia_cards=1), "basic")["driver"] is Verdict.FAIL
