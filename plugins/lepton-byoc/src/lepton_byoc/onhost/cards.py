"""The GPUs of a host as NVML sees them now. Each value is read separately, so that a failure hides no other value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

__all__ = ["read_cards", "watch_xids"]


def read_cards(watch: float = 0.0) -> dict[str, Any]:
    """Read the driver, its GPUs, and the XID events of the next ``watch`` seconds.

    ``driver.state`` is ``ready``, ``absent`` (no library, or the driver is not loaded) or ``broken``; ``said`` is NVML's word.
    """
    import pynvml  # type: ignore[import-untyped]

    nvml: Any = pynvml
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_DriverNotLoaded, nvml.NVMLError_LibraryNotFound) as error:
        return _without("absent", error)
    except nvml.NVMLError as error:
        return _without("broken", error)
    try:
        count = nvml.nvmlDeviceGetCount()
        gpus = [_card(nvml, index) for index in range(count)]
        driver = {"state": "ready", "said": None, "version": nvml.nvmlSystemGetDriverVersion(), "cuda": _cuda(nvml)}
        return {"driver": driver, "gpus": gpus, "events": list(watch_xids(nvml, count, watch)) if watch else []}
    except nvml.NVMLError as error:
        return _without("broken", error)
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _without(state: str, error: Exception) -> dict[str, Any]:
    return {"driver": {"state": state, "said": str(error), "version": None, "cuda": None}, "gpus": [], "events": []}


def _cuda(nvml: Any) -> str:
    number = nvml.nvmlSystemGetCudaDriverVersion_v2()
    return f"{number // 1000}.{number % 1000 // 10}"


def _card(nvml: Any, index: int) -> dict[str, Any]:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        nvml.nvmlDeviceGetUUID(handle)
    except nvml.NVMLError as error:
        return _failed(nvml, index, error)
    return {"index": index, "failure": None, "said": None, **_Card(nvml, handle).values()}


def _failed(nvml: Any, index: int, error: Any) -> dict[str, Any]:
    kinds = {nvml.NVML_ERROR_GPU_IS_LOST: "lost", nvml.NVML_ERROR_RESET_REQUIRED: "reset-required"}
    return {"index": index, "failure": kinds.get(error.value, "query-failed"), "said": str(error)}


class _Card:
    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def values(self) -> dict[str, Any]:
        nvml = self._nvml
        ecc, memory, pci = self._ask("GetEccMode"), self._ask("GetMemoryInfo"), self._ask("GetPciInfo")
        mig = self._ask("GetMigMode")
        return {
            "uuid": self._ask("GetUUID"),
            "name": self._ask("GetName"),
            "pci": pci and _text(pci.busId),
            "memory_bytes": memory and memory.total,
            "mig": mig and bool(mig[0]),
            "persistence": self._ask("GetPersistenceMode"),
            "ecc": ecc and bool(ecc[0]),
            "ecc_corrected": self._ask("GetTotalEccErrors", nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_VOLATILE_ECC),
            "ecc_uncorrected": self._ask("GetTotalEccErrors", nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC),
            "remapped": self._remapped(),
            "clocks_event_reasons": self._ask("GetCurrentClocksEventReasons"),
            "temperature": self._ask("GetTemperature", nvml.NVML_TEMPERATURE_GPU),
            "temperature_max": self._threshold("GPU_MAX"),
            "temperature_slowdown": self._threshold("SLOWDOWN"),
            "temperature_shutdown": self._threshold("SHUTDOWN"),
            "memory_temperature": self._memory_temperature(),
            "memory_temperature_max": self._threshold("MEM_MAX"),
            "power_milliwatt": self._ask("GetPowerUsage"),
            "power_limit_milliwatt": self._ask("GetEnforcedPowerLimit"),
            "nvlinks": self._nvlinks(),
            "fabric": self._fabric(),
            "pids": self._pids(),
        }

    def _ask(self, call: str, *more: Any) -> Any:
        """NVML's answer; ``None`` if the GPU or the library has none."""
        try:
            return getattr(self._nvml, "nvmlDevice" + call)(self._handle, *more)
        except self._nvml.NVMLError:
            return None

    def _threshold(self, name: str) -> Any:
        return self._ask("GetTemperatureThreshold", getattr(self._nvml, "NVML_TEMPERATURE_THRESHOLD_" + name))

    def _remapped(self) -> dict[str, Any] | None:
        rows = self._ask("GetRemappedRows")
        if rows is None:
            return None
        return {"corrected": rows[0], "uncorrected": rows[1], "pending": bool(rows[2]), "failure": bool(rows[3])}

    def _memory_temperature(self) -> int | None:
        values = self._ask("GetFieldValues", [self._nvml.NVML_FI_DEV_MEMORY_TEMP])
        return int(values[0].value.uiVal) if values and values[0].nvmlReturn == self._nvml.NVML_SUCCESS else None

    def _nvlinks(self) -> dict[str, int] | None:
        states = [self._ask("GetNvLinkState", link) for link in range(self._nvml.NVML_NVLINK_MAX_LINKS)]
        known = [state for state in states if state is not None]
        return {"active": sum(known), "inactive": len(known) - sum(known)} if known else None

    def _fabric(self) -> dict[str, Any] | None:
        from ctypes import byref

        info = self._nvml.c_nvmlGpuFabricInfo_v2_t()
        if self._ask("GetGpuFabricInfoV", byref(info)) is None:
            return None
        names = {0: "not-supported", 1: "not-started", 2: "in-progress", 3: "completed"}
        return {"state": names.get(info.state, str(info.state)), "status": info.status, "health_mask": info.healthMask}

    def _pids(self) -> list[int] | None:
        processes = self._ask("GetComputeRunningProcesses")
        return None if processes is None else sorted({process.pid for process in processes})


def watch_xids(nvml: Any, count: int, seconds: float) -> Iterator[dict[str, Any]]:
    """XID events of the next ``seconds``; NVML reports no earlier ones."""
    import time

    events = _quietly(nvml, nvml.nvmlEventSetCreate)
    if events is None:
        return
    try:
        for index in range(count):
            _quietly(nvml, partial(_register, nvml, index, events))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            event = _quietly(nvml, partial(nvml.nvmlEventSetWait_v2, events, int(left * 1000)))
            if event is not None:
                pci = _quietly(nvml, partial(nvml.nvmlDeviceGetPciInfo, event.device))
                yield {"xid": event.eventData, "pci": pci and _text(pci.busId), "at": None}
    finally:
        _quietly(nvml, partial(nvml.nvmlEventSetFree, events))


def _register(nvml: Any, index: int, events: Any) -> None:
    nvml.nvmlDeviceRegisterEvents(nvml.nvmlDeviceGetHandleByIndex(index), nvml.nvmlEventTypeXidCriticalError, events)


def _quietly(nvml: Any, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except nvml.NVMLError:
        return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
