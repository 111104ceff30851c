"""Health check: whether a host and its GPUs are fit for work. Pure; judges a probe by GPUd's rules.

A value that cannot be read is unknown, and never healthy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from lepton_byoc.xids import Action, xid_class

__all__ = ["Finding", "Health", "History", "judge", "overall", "pci_address"]

Probe = Mapping[str, Any]

# Models with row remapping, with a fabric manager, with a fabric state, and their number of ports at each rate.
_REMAPPING = re.compile(r"\b(A100|H100|H200|B100|B200|GB200|A10)\b")
_FABRIC_MANAGED = re.compile(r"\b(A100|B100|B200|H100|H200)\b(?!.*PCIe)")
_FABRIC_STATE = re.compile(r"\b(H100|H200|GB200)\b(?!.*PCIe)")
_PORTS = ((re.compile(r"\bA100\b"), 1, 200), (re.compile(r"\b(H100|H200|B200|GB200)\b"), 8, 400))
# HW slowdown, thermal slowdown and power brake (nvml.h).
_SLOWDOWN = 0x08 | 0x40 | 0x80
_SLOWDOWN_RATE, _SLOWDOWN_MINUTES = 0.6, 10.0
_LEAST_ROOT = 500_000_000
# Pairs of bits of the fabric's health mask; 1 in a pair means true.
_FABRIC_BITS = {0: "less bandwidth than it should have", 2: "its routes are being recovered", 4: "a route that does not work"}
_FABRIC_BITS |= {6: "time-outs that are being recovered"}


class Health(StrEnum):
    """A health state; the worst counts, in this order."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_ORDER = list(Health)


@frozen
class Finding:
    """One finding of a probe.

    Attributes:
        component: its name in GPUd.
        what: a sentence for people, with the value.
        gpu: its UUID; ``""`` for the host, or a GPU whose UUID cannot be read any more.
    """

    component: str
    health: Health
    what: str
    action: Action = Action.NONE
    gpu: str = ""

    @property
    def keeps_work_away(self) -> bool:
        """Whether an operator must act before the next job."""
        return self.health is Health.UNHEALTHY and self.action in (Action.REBOOT, Action.INSPECT)

    def to_dict(self) -> dict[str, str]:
        """The finding as JSON keys."""
        return {
            "component": self.component,
            "health": str(self.health),
            "what": self.what,
            "action": str(self.action),
            "gpu": self.gpu,
        }


@frozen
class History:
    """What earlier probes of the same host saw.

    Attributes:
        reboots: (XID, PCI address) → after how many reboots it came back.
        slowdowns: UUID → how many minutes ago the hardware slowed the GPU down.
        gpus: how many GPUs the host should have; 0 if unknown.
    """

    reboots: Mapping[tuple[int, str], int] = field(factory=dict)
    slowdowns: Mapping[str, Sequence[float]] = field(factory=dict)
    gpus: int = 0


def overall(findings: Iterable[Finding]) -> Health:
    """The worst state of all findings."""
    return max((finding.health for finding in findings), key=_ORDER.index, default=Health.HEALTHY)


def judge(probe: Probe, history: History | None = None) -> list[Finding]:
    """Every fault and every unknown value; empty for a healthy host."""
    past = history or History()
    if probe["driver"]["state"] != "ready":
        return [*_host(probe), _no_driver(probe)]
    found = [*_host(probe), *_count(probe, past), *_fabric_manager(probe), *_nvlink(probe), *_infiniband(probe)]
    for gpu in probe["gpus"]:
        if gpu["failure"]:
            found.append(_failure(gpu))
        else:
            found += [finding for check in _CHECKS for finding in check(gpu)]
            found += _slowdown(gpu, past)
    return [*found, *_xids(probe, past)]


def _no_driver(probe: Probe) -> Finding:
    said = probe["driver"]["said"]
    if probe["driver"]["state"] == "broken":
        return Finding("nvml", Health.UNHEALTHY, f"the NVIDIA driver fails: {said}", Action.REBOOT)
    return Finding("nvml", Health.UNKNOWN, f"no NVIDIA driver answers, so nothing is known of its GPUs: {said}")


def _host(probe: Probe) -> Iterator[Finding]:
    free = probe["host"]["root_disk"]["free_bytes"]
    if free is not None and free < _LEAST_ROOT:
        yield Finding("disk", Health.DEGRADED, f"{free / 1e6:.0f} MB are free on /, 500 MB are the least")


def _count(probe: Probe, past: History) -> Iterator[Finding]:
    seen = len(probe["gpus"])
    if past.gpus and seen != past.gpus:
        yield Finding("gpu-counts", Health.UNHEALTHY, f"{seen} GPUs are seen, it should have {past.gpus}", Action.REBOOT)


def _failure(gpu: Probe) -> Finding:
    action = Action.REBOOT if gpu["failure"] in ("lost", "reset-required") else Action.NONE
    return Finding("nvml", Health.UNHEALTHY, f"GPU {gpu['index']}: {gpu['said']}", action)


def _remapped_rows(gpu: Probe) -> Iterator[Finding]:
    rows = gpu["remapped"]
    if rows is None or not _REMAPPING.search(gpu["name"] or ""):
        if rows is None and _REMAPPING.search(gpu["name"] or ""):
            yield _of(gpu, "remapped-rows", Health.UNKNOWN, "its remapped rows cannot be read")
    elif rows["failure"]:
        yield _of(gpu, "remapped-rows", Health.UNHEALTHY, "a row could not be remapped", Action.INSPECT)
    elif rows["pending"]:
        yield _of(gpu, "remapped-rows", Health.UNHEALTHY, "a row waits for a reboot to be remapped", Action.REBOOT)


def _temperature(gpu: Probe) -> Iterator[Finding]:
    if gpu["temperature"] is None:
        yield _of(gpu, "temperature", Health.UNKNOWN, "its temperature cannot be read")
    for name, part in (("temperature", "it"), ("memory_temperature", "its memory")):
        now, most = gpu[name], gpu[f"{name}_max"]
        if now is not None and most and now > most:
            yield _of(gpu, "temperature", Health.DEGRADED, f"{part} has {now} °C, {most} °C is the most it should have")


def _persistence(gpu: Probe) -> Iterator[Finding]:
    if gpu["persistence"] == 0:
        text = "persistence mode is off: sudo nvidia-smi -pm 1"
        yield _of(gpu, "persistence-mode", Health.UNHEALTHY, text)


def _fabric(gpu: Probe) -> Iterator[Finding]:
    fabric = gpu["fabric"]
    if fabric is None or fabric["state"] == "not-supported" or not _FABRIC_STATE.search(gpu["name"] or ""):
        return
    if fabric["state"] != "completed" or fabric["status"] != 0:
        text = f"its fabric is {fabric['state']}, status {fabric['status']}"
        yield _of(gpu, "fabric-manager", Health.UNHEALTHY, text, Action.REBOOT)
    for shift, words in _FABRIC_BITS.items():
        if fabric["health_mask"] >> shift & 0x3 == 1:
            yield _of(gpu, "fabric-manager", Health.UNHEALTHY, f"its fabric has {words}", Action.REBOOT)


_CHECKS: tuple[Callable[[Probe], Iterator[Finding]], ...] = (_remapped_rows, _temperature, _persistence, _fabric)


def _of(gpu: Probe, component: str, health: Health, what: str, action: Action = Action.NONE) -> Finding:
    return Finding(component, health, f"GPU {gpu['index']}: {what}", action, gpu["uuid"] or "")


def _slowdown(gpu: Probe, past: History) -> Iterator[Finding]:
    now = bool((gpu["clocks_event_reasons"] or 0) & _SLOWDOWN)
    seen = [ago for ago in past.slowdowns.get(gpu["uuid"], ()) if ago <= _SLOWDOWN_MINUTES]
    rate = (len(seen) + now) / _SLOWDOWN_MINUTES
    if rate >= _SLOWDOWN_RATE:
        text = f"the hardware slowed it down {rate:.1f} times a minute"
        yield _of(gpu, "hw-slowdown", Health.UNHEALTHY, text, Action.INSPECT)
    elif now:
        yield _of(gpu, "hw-slowdown", Health.DEGRADED, "the hardware slows it down now")


def _fabric_manager(probe: Probe) -> Iterator[Finding]:
    host = probe["host"]
    names = [gpu["name"] or "" for gpu in probe["gpus"] if not gpu["failure"]]
    if not host["nvswitches"] or not any(map(_FABRIC_MANAGED.search, names)):
        return
    if host["fabric_manager"] == "":
        yield Finding("fabric-manager", Health.UNHEALTHY, "NVSwitches are there and the Fabric Manager is not installed")
    elif host["fabric_manager_state"] not in (None, "active"):
        text = f"the Fabric Manager is {host['fabric_manager_state']}: sudo systemctl start nvidia-fabricmanager"
        yield Finding("fabric-manager", Health.UNHEALTHY, text)


def _nvlink(probe: Probe) -> Iterator[Finding]:
    links = [gpu["nvlinks"] for gpu in probe["gpus"] if not gpu["failure"] and gpu["nvlinks"]]
    if len(links) > 1 and not any(one["active"] for one in links):
        yield Finding("nvlink", Health.UNHEALTHY, "no NVLink of any GPU is active", Action.REBOOT)


def _infiniband(probe: Probe) -> Iterator[Finding]:
    ports = probe["host"]["infiniband"]
    names = [gpu["name"] or "" for gpu in probe["gpus"] if not gpu["failure"]]
    wanted = next(((n, rate) for kind, n, rate in _PORTS if any(map(kind.search, names))), None)
    if not ports or wanted is None:
        return
    up = sum(port["state"] == "ACTIVE" and (port["gbps"] or 0) >= wanted[1] for port in ports)
    if up < wanted[0]:
        text = f"{up} InfiniBand ports are up at {wanted[1]} Gb/s or more, {wanted[0]} are wanted"
        yield Finding("infiniband", Health.UNHEALTHY, text)


def _xids(probe: Probe, past: History) -> Iterator[Finding]:
    if not probe["xids_since_boot"]:
        yield Finding("error-xid", Health.UNKNOWN, "the kernel's log may not be read there, so earlier XIDs are unknown")
    uuids = {pci_address(gpu["pci"]): gpu for gpu in probe["gpus"] if gpu.get("pci")}
    for xid, pci in sorted({(event["xid"], pci_address(event["pci"] or "")) for event in probe["xids"] or ()}):
        fatal, action = xid_class(xid, past.reboots.get((xid, pci), 0))
        gpu = uuids.get(pci)
        name = f"GPU {gpu['index']}" if gpu else "the GPU"
        health = Health.UNHEALTHY if fatal else Health.HEALTHY
        yield Finding("error-xid", health, f"{name} at {pci}: XID {xid}", action, gpu["uuid"] if gpu else "")


def pci_address(pci: str) -> str:
    """A PCI address as ``0000:1a:00``. The kernel writes domains of four digits, NVML of eight, and one of them no function."""
    domain, _, rest = pci.lower().partition(":")
    return f"{domain[-4:].rjust(4, '0')}:{rest.partition('.')[0]}" if rest else pci.lower()
