"""The parts of this machine that can be had with GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import evolve

from lepton_byoc.gpus import GpuState
from lepton_sdk.spi import Availability, Gpu, Offer, Resources

__all__ = ["parts"]


def parts(whole: Offer, gpus: Sequence[GpuState], free: Sequence[GpuState], resources: Resources) -> Iterator[Offer]:
    """One offer for each model of GPU and each count that is asked for; without a request, for the count that is free.

    No offer has more GPUs than the machine, so that the router can say by how many a request misses; an offer with more
    than are free is busy.
    """
    there, idle = Counter(state.gpu for state in gpus), Counter(state.gpu for state in free)
    for gpu, total in there.items():
        for count in _counts(gpu, total, resources) or [idle[gpu] or total]:
            yield evolve(
                whole,
                instance_type=f"{whole.instance_type}-{count}x{gpu}",
                gpu=gpu,
                gpu_count=count,
                availability=Availability.AVAILABLE if count <= idle[gpu] else Availability.BUSY,
                available_count=idle[gpu] // count,
            )


def _counts(gpu: Gpu, total: int, resources: Resources) -> list[int]:
    fitting = [r.count for r in resources.requests if r.gpu is None or r.gpu.fits(gpu) is None]
    return sorted({min(count, total) for count in fitting})
