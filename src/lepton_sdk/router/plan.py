"""Plan: the router's answer. It has the best candidates; everything else is computed on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from heapq import nsmallest
from itertools import islice
from math import isfinite

from attrs import evolve

from lepton_sdk.catalog import Catalog
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.errors import ContractViolation
from lepton_sdk.router.checks import Check, Standing
from lepton_sdk.router.score import Ranked, stagger, start_seconds
from lepton_sdk.router.verdicts import Candidate, Rejection

__all__ = ["Plan"]


class Plan:
    """Which offers serve a job, in order, and why the others do not. Made by `lepton_sdk.router.route`.

    Iterating a plan gives every feasible candidate, the best first; ``candidates`` holds the first ``limit`` of them.
    An offer without a known price comes last, so it is chosen only when there is nothing else.

    Attributes:
        job: what was routed.
        feasible: how many offers serve.
        candidates: the best ones, in order.
        aftermath: what the best machine still costs after its job, with a client and without one, a line each, as far as the
            caller of the router knows it.
    """

    def __init__(
        self,
        job: Job,
        catalog: Catalog,
        found: list[Ranked],
        *,
        standing: Mapping[str, Standing],
        now: datetime,
        limit: int,
        checks: tuple[Check, ...],
    ) -> None:
        self.job = job
        self.feasible = len(found)
        self._catalog = catalog
        self._found = found
        self._standing = standing
        self._now = now
        self._checks = checks
        self._limit = limit
        self._front: tuple[Candidate, ...] = ()
        self.aftermath: tuple[str, ...] = ()
        self.candidates = tuple(self._candidate(entry) for entry in nsmallest(limit, found))

    def __repr__(self) -> str:
        return f"<Plan for {self.job.name!r}: {self.feasible} offers serve, best {self.best}>"

    def __iter__(self) -> Iterator[Candidate]:
        """Every candidate, in order."""
        yield from self._front
        yield from map(self._candidate, self._ordered[len(self._front) :])

    @cached_property
    def _ordered(self) -> list[Ranked]:
        return sorted(self._found)

    def foremost(self, count: int) -> tuple[Candidate, ...]:
        """The first ``count`` candidates."""
        return tuple(islice(self, count))

    def rescored(self, scores: Sequence[float]) -> Plan:
        """The same plan with its first candidates in the order of new scores, lowest first; ties keep their order.

        Raises:
            ContractViolation: there are more scores than candidates, or one is not a finite number.
        """
        front = self.foremost(len(scores))
        if len(front) < len(scores) or not all(isinstance(score, int | float) and isfinite(score) for score in scores):
            raise ContractViolation(f"{len(scores)} new scores for {len(front)} candidates, or not all are finite numbers")
        plan = copy(self)
        ranked = sorted(zip(scores, front, strict=True), key=lambda pair: pair[0])
        plan._front = tuple(evolve(candidate, score=float(score)) for score, candidate in ranked)
        plan.candidates = plan.foremost(self._limit)
        return plan

    @property
    def best(self) -> Candidate | None:
        """The first candidate, or ``None`` when nothing serves."""
        return self.candidates[0] if self.candidates else None

    def _candidate(self, entry: Ranked) -> Candidate:
        (unpriced, score, *_), _, offer, request = entry
        hourly = None if offer.price is None else offer.price * self.job.nodes
        gap = stagger(self.job, self._standing[offer.provider].launch_gap)
        start = start_seconds(offer, gap)
        return Candidate(offer, request, None if unpriced else score, hourly, self._expected_cost(hourly, gap), start)

    def _expected_cost(self, hourly: Money | None, gap: float) -> Money | None:
        limits = self.job.limits
        if hourly is None or limits.duration is None:
            return None
        # Machines that are created one after another are idle until the last is ready.
        seconds = Decimal(limits.duration) + Decimal(str(gap)) / 2
        cost = (hourly * (seconds / 3600)).rounded(4)
        return min(cost, limits.total) if limits.total is not None and limits.total.currency == cost.currency else cost

    @cached_property
    def _losses(self) -> tuple[Rejection, ...]:
        from lepton_sdk.router.explain import rejections

        return rejections(self.job, self._catalog, self._checks, self._standing, self._now)

    def explain(self) -> tuple[Rejection, ...]:
        """Why every offer that is not a candidate lost, in groups.

        First come the offers that would serve if their provider could be used, with what they would have cost, the
        cheapest provider first; then the others, nearest first. This scans the whole catalog.
        """
        return self._losses

    def nearest_miss(self) -> str:
        """One sentence: by how much the nearest offer misses; empty when an offer serves."""
        from lepton_sdk.router.explain import nearest_miss

        return "" if self.feasible else nearest_miss(self.job, self._catalog, self.explain(), self._standing)

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON keys: ``job``, ``candidates``, ``feasible``, ``rejected``."""
        ranked: Sequence[tuple[int, Candidate]] = list(enumerate(self.candidates, 1))
        return {
            "job": self.job.to_dict(),
            "candidates": [{"rank": place, **candidate.to_dict()} for place, candidate in ranked],
            "feasible": self.feasible,
            "rejected": [rejection.to_dict() for rejection in self.explain()],
        }

    def table(self) -> str:
        """The candidates as aligned plain text."""
        from lepton_sdk.router.table import candidate_table

        return candidate_table(self.candidates, self.feasible)

    def rejection_table(self) -> str:
        """What `explain` says, as aligned plain text."""
        from lepton_sdk.router.table import rejection_table

        return rejection_table(self.explain(), self.job.nodes)

    def __str__(self) -> str:
        parts = (self.table(), self.rejection_table(), self.nearest_miss())
        return "\n\n".join(part for part in parts if part)
