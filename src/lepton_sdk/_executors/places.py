"""Where the files of a run lie, on this host and on a node."""

from __future__ import annotations

__all__ = ["BASE", "RUNS", "place_of"]

# On a node, below the user's home. On this host the state folder has its place.
BASE = ".lepton"
# In that folder.
RUNS = "runs"


def place_of(run_id: str, attempt: int, rank: int) -> str:
    """The folder of one node of a run, below the folder of runs."""
    return f"{run_id}/{attempt}-{rank}"
