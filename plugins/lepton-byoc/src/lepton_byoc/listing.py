"""This machine's offers with GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve

from lepton_byoc.gpus import GpuState
from lepton_byoc.refusals import in_use
from lepton_sdk.spi import Availability, Gpu, Offer, Resources

__all__ = ["parts"]


def parts(
    whole: Offer, gpus: Sequence[GpuState], free: Sequence[GpuState], resources: Resources, held: Mapping[str, str]
) -> Iterator[Offer]:
    """One offer for each GPU model and each requested count; without a request, for the free count.

    No offer has more GPUs than the machine, so that the router can say by how many a request misses. An offer with more
    GPUs than are free is busy, and says who holds them.

    Args:
        held: UUID → the node that holds it, in words.
    """
    there, idle = Counter(state.gpu for state in gpus), Counter(state.gpu for state in free)
    for gpu, total in there.items():
        for count in _counts(gpu, total, resources) or [idle[gpu] or total]:
            part = evolve(
                whole,
                instance_type=f"{whole.instance_type}-{count}x{gpu}",
                gpu=gpu,
                gpu_count=count,
                available_count=0 if whole.obstacle else idle[gpu] // count,
            )
            yield (
                part
                if whole.obstacle or count <= idle[gpu]
                else _busy(part, total, idle[gpu], [s for s in gpus if s.gpu == gpu], held)
            )


def _busy(part: Offer, total: int, free: int, gpus: Sequence[GpuState], held: Mapping[str, str]) -> Offer:
    ours = {state.uuid: held[state.uuid] for state in gpus if state.uuid in held}
    computing = {state.uuid: state.occupied.removesuffix(" computes on it") for state in gpus if state.occupied}
    what = in_use("this machine", f"{total} x {part.gpu}", free, part.gpu_count, ours, computing)
    hint = "wait; lepton nodes shows what holds the others"
    return evolve(part, availability=Availability.BUSY, obstacle=what, hint=hint)


def _counts(gpu: Gpu, total: int, resources: Resources) -> list[int]:
    fitting = [r.count for r in resources.requests if r.gpu is None or r.gpu.fits(gpu) is None]
    return sorted({min(count, total) for count in fitting})
