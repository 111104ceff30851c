"""The record of runs and nodes: append-only events, and beside them what they add up to."""

from __future__ import annotations

from lepton_sdk._journal.journal import Journal
from lepton_sdk._journal.store import Place, exists

__all__ = ["Journal", "Place", "exists"]
