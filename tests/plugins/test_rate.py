"""Pace shared by processes that use one key."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lepton_sdk._plugins.rate import FilePacer

_RATES = {"": 1.0, "launch": 12.0}


class _Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.start = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def _pacer(folder: Path, clock: _Clock, key: str = "k-secret", rates: Mapping[str, float] = _RATES) -> FilePacer:
    return FilePacer(folder, "acme", key, rates, clock)


def _times(pacer: FilePacer, clock: _Clock, *buckets: str) -> list[float]:
    async def call() -> list[float]:
        times = []
        for bucket in buckets:
            await pacer.wait(bucket)
            times.append(round(clock.seconds, 3))
        return times

    return asyncio.run(call())


def test_every_call_waits_for_the_common_pace_and_a_named_one_for_its_own(tmp_path: Path) -> None:
    clock = _Clock()
    times = _times(_pacer(tmp_path, clock), clock, "", "launch", "", "launch", "unknown")
    assert times == [0, 1, 2, 13, 14]


def test_two_pacers_of_one_key_share_and_of_two_keys_do_not(tmp_path: Path) -> None:
    clock = _Clock()
    assert _times(_pacer(tmp_path, clock), clock, "") == [0]
    assert _times(_pacer(tmp_path, clock), clock, "") == [1]
    assert _times(_pacer(tmp_path, clock, key="another"), clock, "") == [1]


def test_the_key_is_not_written(tmp_path: Path) -> None:
    clock = _Clock()
    _times(_pacer(tmp_path, clock), clock, "")
    (file,) = tmp_path.iterdir()
    assert "secret" not in file.name + file.read_text()
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def test_without_rates_nothing_is_written(tmp_path: Path) -> None:
    clock = _Clock()
    assert _times(_pacer(tmp_path, clock, rates={}), clock, "", "launch") == [0, 0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "junk", "[1]", '{"": "soon"}'])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, text: str) -> None:
    clock = _Clock()
    pacer = _pacer(tmp_path, clock)
    _times(pacer, clock, "")
    next(tmp_path.iterdir()).write_text(text)
    clock.seconds = 100
    assert _times(pacer, clock, "", "") == [100, 101]
    assert json.loads(next(tmp_path.iterdir()).read_text())


def test_a_clock_that_was_set_back_does_not_stop_us(tmp_path: Path) -> None:
    clock = _Clock()
    clock.seconds = 86400
    _times(_pacer(tmp_path, clock), clock, "")
    clock.seconds = 0
    assert _times(_pacer(tmp_path, clock), clock, "") == [0]


def test_a_stopped_process_with_the_lock_does_not_stop_us_for_good(tmp_path: Path) -> None:
    clock = _Clock()
    _times(_pacer(tmp_path, clock), clock, "")
    file = os.open(next(tmp_path.iterdir()), os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        first, second = _times(_pacer(tmp_path, clock), clock, "", "")
    finally:
        os.close(file)
    assert first < 10
    assert second >= first + 1


def test_a_cache_that_cannot_be_made_paces_this_process_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    clock = _Clock()
    assert _times(_pacer(tmp_path / "file" / "pace", clock), clock, "", "") == [0, 1]


def test_two_processes_never_get_one_slot(tmp_path: Path) -> None:
    code = f"""
import asyncio, time
from datetime import UTC, datetime
from pathlib import Path
from lepton_sdk._plugins.rate import FilePacer
class StoppedClock:
    # Time stands still, so that the slot is what the pacer wants to sleep.
    def now(self): return datetime(2026, 1, 1, tzinfo=UTC)
    def monotonic(self): return time.monotonic()
    async def sleep(self, seconds):
        if seconds == 0.01: time.sleep(0.001)
        else: print(round(seconds))
pacer = FilePacer(Path({str(tmp_path)!r}), "acme", "k", {{"": 1.0}}, StoppedClock())
async def main():
    for _ in range(40):
        await pacer.wait()
asyncio.run(main())
"""
    racing = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    slots = [int(line) for process in racing for line in process.communicate(timeout=60)[0].split()]
    assert sorted(slots) == list(range(80))
