"""The GPUs of this host as NVML sees them now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from attrs import frozen

from lepton_sdk.spi import Gpu, Unavailable

__all__ = ["GpuReading", "GpuState", "read_gpus", "visible"]

_LIBRARY = "libnvidia-ml.so.1"


@frozen
class GpuState:
    """One healthy GPU.

    Attributes:
        index: NVML's, in the order of the PCI bus.
        memory_bytes: as measured; ``gpu.memory_gib`` is the nominal size.
        occupied: which process computes on it, in words; empty if none does.
    """

    index: int
    uuid: str
    gpu: Gpu
    memory_bytes: int
    occupied: str = ""


@frozen
class GpuReading:
    """One reading of NVML.

    Attributes:
        driver: its version; empty without a driver.
        cuda: the newest CUDA that the driver runs, ``"13.0"``.
        absent: why there is no driver; empty when there is one.
        left_out: GPUs that cannot be allocated, one line each with the reason.
    """

    driver: str = ""
    cuda: str = ""
    absent: str = ""
    gpus: tuple[GpuState, ...] = ()
    left_out: tuple[str, ...] = ()


def read_gpus() -> GpuReading:
    """Read all GPUs. Takes milliseconds, or seconds if the driver must wake the cards first.

    Raises:
        Unavailable: the driver fails; the message is NVML's own.
    """
    if absent := _absent():
        return GpuReading(absent=absent)
    import pynvml  # type: ignore[import-untyped]

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_DriverNotLoaded, pynvml.NVMLError_LibraryNotFound) as error:
        return GpuReading(absent=f"NVML: {error}")
    except pynvml.NVMLError as error:
        raise _broken(str(error)) from error
    try:
        return _read(pynvml)
    except pynvml.NVMLError as error:
        raise _broken(str(error)) from error
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _absent() -> str:
    """Why there is no NVML library; empty if there is one. Without a driver, pynvml is not imported."""
    from ctypes import CDLL

    try:
        CDLL(_LIBRARY)
    except OSError as error:
        if _LIBRARY in str(error) and "no such file" in str(error).lower():
            return f"{_LIBRARY} is not installed"
        raise _broken(str(error)) from error
    return ""


def _broken(said: str) -> Unavailable:
    mismatch = "mismatch" in said.lower()
    return Unavailable(
        f"the NVIDIA driver fails; NVML says: {said.rstrip('.')}",
        provider="byoc",
        hint="reboot, so that driver and library are of one version"
        if mismatch
        else "run nvidia-smi; a reboot or a new install of the driver usually helps",
    )


def _read(nvml: Any) -> GpuReading:
    gpus: list[GpuState] = []
    left_out: list[str] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            state = _one(nvml, index)
        except nvml.NVMLError as error:
            left_out.append(f"GPU {index}: {error}")
            continue
        if isinstance(state, str):
            left_out.append(f"GPU {index}: {state}")
        else:
            gpus.append(state)
    number = nvml.nvmlSystemGetCudaDriverVersion_v2()
    cuda = f"{number // 1000}.{number % 1000 // 10}"
    return GpuReading(nvml.nvmlSystemGetDriverVersion(), cuda, "", tuple(gpus), tuple(left_out))


def _one(nvml: Any, index: int) -> GpuState | str:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    if _in_mig_mode(nvml, handle):
        return "in MIG mode; slices are not handed out by this version"
    size = nvml.nvmlDeviceGetMemoryInfo(handle).total
    gpu = Gpu.nominal(nvml.nvmlDeviceGetName(handle), size)
    return GpuState(index, nvml.nvmlDeviceGetUUID(handle), gpu, size, _occupied(nvml, handle))


def _in_mig_mode(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return False


def _occupied(nvml: Any, handle: Any) -> str:
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return ""
    pids = sorted({process.pid for process in processes})
    return f"process {', '.join(map(str, pids))} computes on it" if pids else ""


def visible(gpus: Iterable[GpuState], given: str | None = None) -> tuple[GpuState, ...]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves to this process; all of them where it is not set.

    As in CUDA, the list ends at the first word that names no GPU.
    """
    text = os.environ.get("CUDA_VISIBLE_DEVICES") if given is None else given
    found = tuple(gpus)
    if text is None:
        return found
    chosen: list[GpuState] = []
    for word in map(str.strip, text.split(",")):
        match = next((g for g in found if word and (word == str(g.index) or _is_uuid_of(word, g))), None)
        if match is None:
            break
        chosen.append(match)
    return tuple(g for g in found if g in chosen)


def _is_uuid_of(word: str, gpu: GpuState) -> bool:
    return word.startswith("GPU-") and gpu.uuid.startswith(word)
