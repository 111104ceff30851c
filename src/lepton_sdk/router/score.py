"""The score: what an offer costs per hour of work, with waiting and the risk of interruption turned into money.

With ``h`` the price of all nodes for one hour, ``T`` the job's time limit in hours (1 without limit), ``s`` the seconds
until a node can be expected to be reachable::

    score = h × risk + (h × g / 2 + wait × s) / 3600 / T

``risk`` is 1 on demand. On spot it depends on the kind of work: 1 for training, which resumes from a checkpoint, 1.5 for
inference, 2 for interactive work. ``wait`` is what an hour of waiting is worth, in the currency of the price. ``g`` is the
time from the first to the last create call of several nodes (0 for one): on average they are idle, and paid for, during
half of it. Lower is better; the numbers are judgements, fixed here and nowhere else.
"""

from __future__ import annotations

from lepton_sdk.domain.job import Job, Workload
from lepton_sdk.domain.offer import Offer, TermsKind
from lepton_sdk.domain.resources import GpuRequest

__all__ = ["Rank", "Ranked", "rank", "score_of", "stagger", "start_seconds"]

WAIT_PER_HOUR = {Workload.TRAINING: 2.0, Workload.INFERENCE: 20.0, Workload.INTERACTIVE: 60.0}
SPOT_RISK = {Workload.TRAINING: 1.0, Workload.INFERENCE: 1.5, Workload.INTERACTIVE: 2.0}
# The usual time of an unknown rented machine from the create call to a login.
USUAL_START_SECONDS = 600
_CURRENCY = "USD"

# No comparable price, score, not owned, GPUs, provider, instance type, region, terms: the order of candidates.
Rank = tuple[bool, float, bool, int, str, str, str, str]
# Rank, place in the catalog, the offer, and the alternative that it serves.
Ranked = tuple[Rank, int, Offer, GpuRequest | None]


def start_seconds(offer: Offer, gap: float = 0.0) -> int | None:
    """Expected seconds from the first create call to the last reachable node, the calls ``gap`` seconds apart in total;
    ``None`` if unknown. The user's own machine is always there."""
    if offer.start_seconds is None and offer.terms.kind is TermsKind.OWNED:
        return 0
    return None if offer.start_seconds is None else offer.start_seconds + round(gap)


def stagger(job: Job, launch_gap: float) -> float:
    """Seconds from the first create call of an attempt to the last."""
    return (job.nodes - 1) * launch_gap


def score_of(job: Job, offer: Offer, launch_gap: float = 0.0) -> float | None:
    """The score of an offer; ``None`` when its price is unknown or in a currency that cannot be compared."""
    limit = job.limits.hourly or job.limits.total
    if offer.price is None or offer.price.currency != (limit.currency if limit else _CURRENCY):
        return None
    risk = SPOT_RISK[job.workload] if offer.terms.kind is TermsKind.SPOT else 1.0
    hours = (job.limits.duration or 3600) / 3600
    price, gap = float(offer.price.amount) * job.nodes, stagger(job, launch_gap)
    start = start_seconds(offer, gap)
    waiting = WAIT_PER_HOUR[job.workload] * (USUAL_START_SECONDS if start is None else start)
    # Rounded, so that offers of equal price tie and the fixed order decides, not the last bit of a float.
    return round(price * risk + (price * gap / 2 + waiting) / 3600 / hours, 6)


def rank(job: Job, offer: Offer, launch_gap: float = 0.0) -> Rank:
    """The offer's rank: by score, without price last; at equal score owned machines before rented ones, fewer GPUs
    before more (so that a job without GPUs leaves them to others), then by provider, type, region and terms."""
    score = score_of(job, offer, launch_gap)
    owned = offer.terms.kind is TermsKind.OWNED
    return (score is None, score or 0.0, not owned, offer.gpu_count, *offer.key)
