"""The journal: append-only entries about runs and nodes, and the state that they add up to. Begin with `journal.py`."""

from __future__ import annotations

from lepton_sdk._journal.journal import AWAY, Journal
from lepton_sdk._journal.lost import lost_at
from lepton_sdk._journal.mark import Mark, Noted, noted_in
from lepton_sdk._journal.opening import exists, put_aside
from lepton_sdk._journal.store import Place, key_of

__all__ = ["AWAY", "Journal", "Mark", "Noted", "Place", "exists", "key_of", "lost_at", "noted_in", "put_aside"]
