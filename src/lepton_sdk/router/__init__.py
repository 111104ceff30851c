"""Router: job × catalog → plan. Pure and deterministic; every offer that lost can say why, in numbers. Begin with `route.py`."""

from __future__ import annotations

from lepton_sdk.router.checks import Standing
from lepton_sdk.router.plan import Plan
from lepton_sdk.router.route import matching, route
from lepton_sdk.router.verdicts import Candidate, Rejection

__all__ = ["Candidate", "Plan", "Rejection", "Standing", "matching", "route"]
