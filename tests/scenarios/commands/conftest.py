"""Whole stories of the command: a process of its own, in an empty folder, with an empty home."""

from __future__ import annotations

from commands import environment, lepton, long_run, place, start, terminals, till

__all__ = ["environment", "lepton", "long_run", "place", "start", "terminals", "till"]
