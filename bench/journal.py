"""Durable rows per second of the journal, one row to a transaction, beside the disk's own speed at that."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from lepton_sdk._clock import SystemClock
from lepton_sdk._journal import Journal
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.run import Event


def main(rows: int = 300) -> None:
    clock = SystemClock()
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        journal = Journal(Path(name) / "journal.db", clock)
        began = time.perf_counter()
        for _ in range(rows):
            job = {"job": {"command": "true"}}
            journal.append(Event("run.planned", new_id(clock.now(), os.urandom(6)), clock.now(), None, job))
        ours = time.perf_counter() - began
        journal.close()
        with open(Path(name) / "plain", "wb", buffering=0) as file:
            began = time.perf_counter()
            for _ in range(rows):
                file.write(b"x" * 1024)
                os.fsync(file.fileno())
            plain = time.perf_counter() - began
    print(f"journal: {rows / ours:.0f} rows a second ({ours / rows * 1000:.2f} ms each)")
    print(f"disk:    {rows / plain:.0f} writes of 1 KiB with fsync a second ({plain / rows * 1000:.2f} ms each)")


if __name__ == "__main__":
    main()
