"""Durable rows per second of the journal: one after another, and many runs at once, beside the disk's own speed at that.

With ``LEPTON_SDK_STATE=postgresql://…`` the same over that database (rows are added to it).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._journal import Journal, Place
from lepton_sdk.domain.events import AnyEvent, event_of
from lepton_sdk.domain.ids import new_id
from lepton_sdk.testing import fake_offer

_CLOCK = SystemClock()


def planned() -> AnyEvent:
    return event_of("run.planned", new_id(_CLOCK.now(), os.urandom(6)), _CLOCK.now(), None, {"job": {"command": "true"}})


def alone(journal: Journal, rows: int = 300) -> float:
    """Rows a second, each waited for."""
    began = time.perf_counter()
    for _ in range(rows):
        journal.append(planned())
    return rows / (time.perf_counter() - began)


async def together(journal: Journal, runs: int) -> tuple[float, float]:
    """Rows a second of ``runs`` runs that write at once, and the longest time for which the event loop stood still."""
    offer = fake_offer().to_dict()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    async def one() -> None:
        run = (await journal.write(planned())).id
        data = {"attempt": 1, "rank": 0, "epoch": 1, "offer": offer, "increment": 1}
        await journal.write(event_of("node.intended", run, _CLOCK.now(), f"t-{run}", data))
        await journal.write(event_of("node.unknown", run, _CLOCK.now(), f"t-{run}"))

    watcher = asyncio.create_task(watch())
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(runs)))
    took = time.perf_counter() - began
    watcher.cancel()
    return 3 * runs / took, longest


def bare(folder: Path, rows: int = 300) -> float:
    """Writes with fsync a second."""
    with open(folder / "plain", "wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(rows):
            file.write(b"x" * 1024)
            os.fsync(file.fileno())
        return rows / (time.perf_counter() - began)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        place: Place = load_config().database or Path(name) / "journal.db"
        journal = Journal(place, _CLOCK, marks=Path(name))
        print(f"{journal.place}")
        print(f"one after another: {alone(journal):.0f} rows a second")
        for runs in (10, 100, 1000):
            rate, longest = asyncio.run(together(journal, runs))
            print(f"{runs:4} runs at once: {rate:.0f} rows a second; the loop stood still for {longest * 1000:.1f} ms at most")
        journal.close()
        print(f"the disk: {bare(Path(name)):.0f} writes of 1 KiB with fsync a second")


if __name__ == "__main__":
    main()
