"""The router's verdicts: why an offer serves, and why a group of offers lost."""

from __future__ import annotations

from attrs import frozen

from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import GpuRequest

__all__ = ["Candidate", "Rejection"]


@frozen
class Candidate:
    """An offer that serves the job.

    Attributes:
        request: the GPU alternative that it serves; ``None`` when the job asks for no GPU.
        score: lower is better, see `lepton_sdk.router.score`; ``None`` when the price is unknown.
        hourly: the hourly price of all nodes; ``None`` when the price is unknown.
        expected_cost: the hourly price over the job's time limit, at most ``limits.total``, which shortens the run; ``None``
            without a time limit.
        start_seconds: expected time from acquire to a reachable node; ``None`` when unknown.
    """

    offer: Offer
    request: GpuRequest | None
    score: float | None
    hourly: Money | None
    expected_cost: Money | None
    start_seconds: int | None

    def to_dict(self) -> dict[str, object]:
        """The JSON keys of the offer and of the candidate."""
        return {
            **self.offer.to_dict(),
            "request": str(self.request) if self.request else None,
            "score": self.score,
            "hourly": None if self.hourly is None else str(self.hourly),
            "expected_cost": None if self.expected_cost is None else str(self.expected_cost),
            "start_seconds": self.start_seconds,
        }


@frozen
class Rejection:
    """A group of offers that lost for one reason.

    Attributes:
        reason: what they have in common (``"above the hourly limit"``, ``"provider not installed"``).
        count: how many.
        example: the offer that came nearest to serving.
        detail: the numbers of the example.
        hint: the next step, if there is one.
        distance: how far the example is from serving, 0 when only its provider is in the way.
    """

    reason: str
    count: int
    example: Offer
    detail: str
    hint: str = ""
    distance: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """The group as JSON keys."""
        return {
            "reason": self.reason,
            "count": self.count,
            "example": self.example.to_dict(),
            "detail": self.detail,
            "hint": self.hint,
        }
