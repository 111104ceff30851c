"""Every process of this host, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

__all__ = ["Process", "marked", "process_table"]


@frozen
class Process:
    """One line of the process table."""

    parent: int
    session: int
    runs: bool


def process_table() -> dict[int, Process]:
    """Every process by its id."""
    return {int(path.name): entry for path in Path("/proc").glob("[0-9]*") if (entry := _entry(path.name))}


def _entry(name: str) -> Process | None:
    try:
        # The name stands in parentheses and may hold spaces and parentheses itself.
        facts = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(int(facts[1]), int(facts[3]), facts[0] not in (b"Z", b"X"))


def marked(mark: str) -> set[int]:
    """Live processes whose environment has this entry."""
    found = set()
    for pid, process in process_table().items():
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if process.runs and mark.encode() in entries:
            found.add(pid)
    return found
