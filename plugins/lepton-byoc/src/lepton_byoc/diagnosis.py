"""Checks this machine's health without running a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lepton_byoc import machine
from lepton_byoc.gpus import GpuReading, GpuState, read_gpus, visible
from lepton_sdk.spi import Diagnosis, Unavailable

__all__ = ["diagnoses"]

# Below this a training environment (torch alone unpacks to some 5 GiB) does not fit.
_LITTLE_DISK = 10.0


def diagnoses(folder: Path, held: Callable[[], Mapping[str, str]]) -> list[Diagnosis]:
    """CPUs, memory and disk, then the driver and every GPU.

    Args:
        folder: where files will be written.
        held: GPU's UUID → the node that holds it.
    """
    return [*_host(folder), *_gpus(held)]


def _host(folder: Path) -> Iterator[Diagnosis]:
    yield Diagnosis("cpus", True, f"{machine.cpus():g} usable, {machine.memory_gib():g} GiB of memory")
    free = machine.disk_gib(folder)
    enough = free >= _LITTLE_DISK
    yield Diagnosis("disk", enough, f"{free:g} GiB free at {folder}", "" if enough else "free some disk")


def _gpus(held: Callable[[], Mapping[str, str]]) -> Iterator[Diagnosis]:
    try:
        reading = read_gpus()
        taken = held()
    except Unavailable as error:
        yield Diagnosis("driver", False, error.message, error.hint or "")
        return
    yield _driver(reading)
    for line in reading.left_out:
        yield Diagnosis("gpu", False, f"{line}; it is not offered", "nvidia-smi -q says more; a reboot may help")
    shown = visible(reading.gpus)
    for state in reading.gpus:
        yield Diagnosis(f"gpu {state.index}", True, _describe(state, state in shown, taken))


def _driver(reading: GpuReading) -> Diagnosis:
    if not reading.absent:
        return Diagnosis("driver", True, f"NVIDIA {reading.driver}, up to CUDA {reading.cuda}")
    if machine.has_nvidia_card():
        return Diagnosis(
            "driver", False, f"an NVIDIA card is there and its driver is not: {reading.absent}", "install the driver"
        )
    return Diagnosis("driver", True, f"none, so this is a CPU-only machine ({reading.absent})")


def _describe(state: GpuState, shown: bool, taken: Mapping[str, str]) -> str:
    if state.uuid in taken:
        use = f"held by {taken[state.uuid]}"
    elif state.occupied:
        use = f"busy: {state.occupied}"
    else:
        use = "free" if shown else "hidden from us by CUDA_VISIBLE_DEVICES"
    return f"{state.gpu}, {state.memory_bytes / (1 << 30):.1f} GiB measured, {use} ({state.uuid})"
