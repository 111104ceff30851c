"""Copy a job's log and outputs to this host before its machine is given back. Begin with `keep`.

It is one bounded attempt, so that it cannot delay the release for long. What is lost is written into the run.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path
from shutil import disk_usage

from lepton_sdk._engine.calls.bounded import ask_node, words_of
from lepton_sdk._engine.calls.hurry import Hurry
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.budget import bill_left
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.output.fetch import fetch, from_node, kept_log, kept_outputs, named, part_of
from lepton_sdk.domain.events import NodeUnkept
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import LeptonError

__all__ = ["keep"]

# The largest piece of the log that is in memory at a time.
_CHUNK = 1 << 16
# Leave this much of the disk free, or half of what is free.
_SPARED = 256 << 20


async def keep(member: Member, *, silent: bool) -> Run:
    """Fetch log and outputs of a machine that is about to be given back, as far as possible.

    No error is raised: the machine costs money, and what is lost is written into the run.

    Args:
        silent: the node's last answer was of no use, so wait only for a short time.
    """
    engine, run, record = member.engine, member.run, member.record
    access = record.node.access if record.node else None
    if access is None or engine.is_here(access) or record.running_at is None:
        return run
    budget = _Budget(engine, run, record, silent=silent)
    lost = await _keep_log(engine, run, record, budget)
    lost += await _keep_outputs(engine, run, record, budget)
    if not lost:
        return run
    for line in lost:
        engine.tell(f"run {run.id}: {line}")
    return await member.write(NodeUnkept(tuple(lost)))


class _Budget:
    """The time and the bytes that are left for keeping."""

    def __init__(self, engine: Engine, run: Run, record: NodeRecord, *, silent: bool) -> None:
        keeping, timing = engine.timing.keeping, engine.timing
        self._clock = engine.clock
        self.hurry: Hurry = engine.hurry(run.id)
        self.seconds = timing.silent if silent else float(keeping.time)
        if (left := bill_left(run, record, engine.clock.now())) is not None:
            # The run's total pays for this time, too. A short time is always left, as for a silent node.
            self.seconds = min(self.seconds, max(timing.silent, left))
        self._end = self._clock.monotonic() + self.seconds
        room = _room(engine.runs_dir)
        self.bytes = min(keeping.size, room)
        self.used_up = "outputs.size is used up" if keeping.size <= room else "the disk here has no more room to spare"

    @property
    def left(self) -> float:
        """Seconds that are left. If a stop came long ago, a node that answers still gets a moment."""
        return max(0.0, self._end - self._clock.monotonic())

    def why(self, error: BaseException) -> str:
        """The text that says why something is missing."""
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
            if self.hurry.left() < inf:
                return "the time for it was used up: the run was stopped"
            return f"the time for it was used up: {show_duration(self.seconds)}, see outputs.time in the settings"
        return words_of(error)


def _room(folder: Path) -> int:
    """Bytes that may be written there: a job's output must leave room for the journal on the same disk."""
    while not folder.exists():
        folder = folder.parent
    free = disk_usage(folder).free
    return free - min(_SPARED, free // 2)


class _TooMuch(Exception):
    """The log is longer than the bytes that may be written."""


async def _keep_log(engine: Engine, run: Run, record: NodeRecord, budget: _Budget) -> list[str]:
    path = kept_log(engine, record)
    begin = _size(path)

    async def copy() -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            async for chunk in _pieces(engine, run, record, begin):
                _write(descriptor, chunk[: budget.bytes])
                if len(chunk) > budget.bytes:
                    raise _TooMuch
                budget.bytes -= len(chunk)
        finally:
            os.close(descriptor)

    try:
        await ask_node("fetching its log", copy, budget.left, engine.clock, hurry=budget.hurry)
    except LeptonError as error:
        # The file is complete up to its end; what comes after that is missing.
        why = budget.used_up if isinstance(error.__cause__, _TooMuch) else budget.why(error)
        return [f"its log could not be fetched beyond byte {_size(path)}: {why}"]
    return []


def _write(descriptor: int, chunk: bytes) -> None:
    """Write the whole chunk: a disk that is nearly full may write only a part at a time."""
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


async def _pieces(engine: Engine, run: Run, record: NodeRecord, begin: int) -> AsyncIterator[bytes]:
    """The log in pieces of bounded size. Refuse pieces that are not bytes; split those that an executor made too large."""
    async for chunk in from_node(engine, run, record, begin, follow=False):
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise TypeError(f"a piece of the log is {type(chunk).__name__}, not bytes")
        for at in range(0, len(chunk), _CHUNK):
            yield bytes(chunk[at : at + _CHUNK])


async def _keep_outputs(engine: Engine, run: Run, record: NodeRecord, budget: _Budget) -> list[str]:
    if not run.job.outputs:
        return []
    place = kept_outputs(engine, record)
    # A follower that died after it had fetched all outputs has already moved them to their final place.
    part = place if place.is_dir() else part_of(place)

    async def bring() -> list[str]:
        fetched = await fetch(engine, run, record, run.job.outputs, part, most=budget.bytes)
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        return named(fetched.missing)

    try:
        missing = await ask_node("fetching its outputs", bring, budget.left, engine.clock, hurry=budget.hurry)
    except LeptonError as error:
        return [f"its outputs could not be fetched whole: {budget.why(error)}; what came lies in {part}"]
    try:
        if part != place:
            part.replace(place)
    except OSError as error:
        return [f"its outputs lie in {part}: they cannot be moved to {place}: {error.strerror}"]
    return missing


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
