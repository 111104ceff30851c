"""Resources: what one node of a job needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import field, frozen

from lepton_sdk.domain.fields import keys_of
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.quantity import Range, parse_quantity
from lepton_sdk.errors import ResourcesError, UsageError

__all__ = ["GpuRequest", "Resources"]

_T = TypeVar("_T")
# The largest machine in the reference data has 8 GPUs, the largest NVLink domain sold has 72.
_MOST_GPUS = 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._*-]{0,62}")


@frozen
class GpuRequest:
    """A number of GPUs of one kind. ``gpu`` is ``None`` for any model.

    >>> str(GpuRequest.parse("H100-SXM:8"))
    'H100-SXM:8'
    """

    gpu: Gpu | None
    count: int = 1

    @classmethod
    def parse(cls, value: object) -> GpuRequest:
        """Read ``"H100"``, ``"H100-SXM:8"`` or ``"any:2"``.

        Raises:
            ResourcesError: an unknown GPU (the nearest names are given), or a count that is not 1 to 1024.
        """
        if isinstance(value, GpuRequest):
            return value
        if not isinstance(value, str):
            raise ResourcesError(f"{value!r} is not a GPU request", hint='write "H100:8"')
        name, _, number = value.strip().rpartition(":") if ":" in value else (value.strip(), ":", "1")
        if not re.fullmatch(r"\d{1,9}", number) or not 1 <= int(number) <= _MOST_GPUS:
            raise ResourcesError(
                f"{value!r}: the GPU count {number!r} is not a whole number from 1 to {_MOST_GPUS}",
                hint=f'write "{name or "H100"}:8", or leave gpu out for a machine without GPUs',
            )
        gpu = None if name.strip().lower() == "any" else Gpu.parse(name)
        return cls(gpu, int(number))

    def __str__(self) -> str:
        return f"{self.gpu or 'any'}:{self.count}"


def _in_field(name: str, parse: Callable[[Any], _T], value: Any) -> _T | None:
    """Read an optional value; an error names the field."""
    if value is None:
        return None
    try:
        return parse(value)
    except UsageError as error:
        raise ResourcesError(f"resources.{name}: {error.message}", hint=error.hint) from None


# One named converter for each field, so that type checkers know what each field accepts.


def _gpu(value: Any) -> tuple[GpuRequest, ...]:
    return _in_field("gpu", _requests, value) or ()


def _gpu_memory(value: Any) -> Range | None:
    return _in_field("gpu_memory", Range.parse, value)


def _cpus(value: Any) -> float | None:
    return _in_field("cpus", parse_quantity, value)


def _memory_gib(value: Any) -> float | None:
    return _in_field("memory_gib", parse_quantity, value)


def _disk_gib(value: Any) -> float | None:
    return _in_field("disk_gib", parse_quantity, value)


def _interconnect(value: Any) -> str | None:
    return _in_field("interconnect", _text, value)


def _regions(value: Any) -> tuple[str, ...]:
    return _in_field("regions", _names, value) or ()


def _providers(value: Any) -> tuple[str, ...]:
    return _in_field("providers", _names, value) or ()


def _spot(value: Any) -> bool | None:
    return None if value is None else _in_field("spot", _spot_policy, value)


def _requests(value: Any) -> tuple[GpuRequest, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    requests = tuple(GpuRequest.parse(item) for item in items)
    if len(set(requests)) != len(requests):
        raise ResourcesError("one GPU request stands twice", hint="name each alternative once")
    return requests


def _names(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else list(value)
    for item in items:
        if not isinstance(item, str) or not _NAME.fullmatch(item):
            raise ResourcesError(f"{item!r} is not a name", hint="use letters, digits, dot, dash and underscore")
    return tuple(items)


def _allow_flagged(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ResourcesError(f"resources.allow_flagged: {value!r} is neither true nor false")
    return value


def _spot_policy(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if value == "any":
        return None
    raise ResourcesError(f"{value!r} is not a spot policy", hint='write true, false or "any"')


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ResourcesError(f"{value!r} is not a name", hint='write for example "InfiniBand"')
    return value.strip()


@frozen
class Resources:
    """What one node needs. A field that is not set requires nothing.

    Args:
        gpu: alternatives such as ``"H100:8"`` or ``["H100:8", "H200:8"]``; none if the job needs no GPU.
        gpu_memory: nominal GB of one GPU: ``80`` exactly, ``"80+"`` at least, ``"40-80"`` between.
        cpus: minimum number of virtual CPUs.
        memory_gib: minimum main memory, GiB.
        disk_gib: minimum local disk, GiB.
        interconnect: a word that the offer's interconnect must contain (``"InfiniBand"``).
        regions: only these regions.
        providers: only these providers.
        allow_flagged: offers with a doubtful price may win; else they are shown and never taken.
        spot: ``False`` on demand (and owned machines), ``True`` spot only, ``None`` (``"any"`` in a file) either.

    Raises:
        ResourcesError: an argument is not valid; the message names the field, the value and the fix.

    >>> Resources(gpu="H100:8", cpus=16).to_dict()
    {'gpu': ['H100:8'], 'cpus': 16.0}
    """

    gpu: tuple[GpuRequest, ...] = field(default=(), converter=_gpu)
    gpu_memory: Range | None = field(default=None, converter=_gpu_memory)
    cpus: float | None = field(default=None, converter=_cpus)
    memory_gib: float | None = field(default=None, converter=_memory_gib)
    disk_gib: float | None = field(default=None, converter=_disk_gib)
    interconnect: str | None = field(default=None, converter=_interconnect)
    regions: tuple[str, ...] = field(default=(), converter=_regions)
    providers: tuple[str, ...] = field(default=(), converter=_providers)
    spot: bool | None = field(default=False, converter=_spot)
    allow_flagged: bool = field(default=False, converter=_allow_flagged)

    def __attrs_post_init__(self) -> None:
        if self.gpu_memory is None:
            return
        for request in self.gpu:
            sizes = request.gpu.memory_sizes() if request.gpu else ()
            if sizes and not any(self.gpu_memory.contains(size) for size in sizes):
                raise ResourcesError(
                    f"resources: gpu {request} and gpu_memory {self.gpu_memory} contradict each other",
                    hint=f"{request.gpu} has {' or '.join(map(str, sizes))} GB",
                )

    @property
    def requests(self) -> tuple[GpuRequest, ...]:
        """The GPU alternatives; a memory size alone asks for one GPU of any model."""
        return self.gpu or ((GpuRequest(None, 1),) if self.gpu_memory else ())

    @classmethod
    def parse(cls, value: Any) -> Resources:
        """Read Resources from themselves, a mapping, a list of GPU alternatives, ``"H100:8"`` or ``None``."""
        if isinstance(value, Resources):
            return value
        if value is None:
            return cls()
        if isinstance(value, str | list | tuple):
            return cls(gpu=value)
        return cls(**keys_of(cls, "resources", value, error=ResourcesError, hint='write resources: {gpu: "H100:8"}'))

    def to_dict(self) -> dict[str, object]:
        """The requirements as plain JSON values; `parse` reads them back."""
        data: dict[str, object] = {}
        if self.gpu:
            data["gpu"] = [str(request) for request in self.gpu]
        if self.gpu_memory:
            data["gpu_memory"] = str(self.gpu_memory)
        for name in ("cpus", "memory_gib", "disk_gib", "interconnect"):
            if getattr(self, name) is not None:
                data[name] = getattr(self, name)
        for name in ("regions", "providers"):
            if getattr(self, name):
                data[name] = list(getattr(self, name))
        if self.allow_flagged:
            data["allow_flagged"] = True
        if self.spot is not False:
            data["spot"] = "any" if self.spot is None else True
        return data
