"""Router: job × catalog → plan. Pure and deterministic; every offer that lost can say why, in numbers."""

from __future__ import annotations

from lepton_sdk.router.checks import Standing
from lepton_sdk.router.plan import Candidate, Plan, Rejection
from lepton_sdk.router.route import matching, route

__all__ = ["Candidate", "Plan", "Rejection", "Standing", "matching", "route"]
