"""What stands in the folder of one execution, and what it says."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_sdk._executors.processes import alive
from lepton_sdk.domain.words import one_line
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["REASONS", "ended_as", "is_code", "plausible", "read_json", "read_plain", "read_status"]

_GOING_ON = ("setup", "running")
# Numbers above 31 are real-time signals, which have no names of their own.
_LAST_NAMED = 31
_LAST_SIGNAL, _LAST_CODE = 64, 255
# Why an execution may have finished, in the words of its keeper.
REASONS = frozenset(("exit", "setup", "timeout", "idle", "cancelled"))
_LONGEST_RECORD, _LONGEST_DETAIL, _MOST_FAILURES = 1 << 20, 500, 10_000
_NONSENSE = frozenset((errno.ELOOP, errno.ENXIO, errno.ENOTDIR))
_EARLIEST, _AHEAD, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1), 1e11


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a file; ``None`` without the file, empty when its bytes are not what was written."""
    import json

    try:
        data = json.loads(read_plain(path, _LONGEST_RECORD))
    except FileNotFoundError:
        return None
    # A job can put anything there: a folder, a pipe, a link to itself, brackets within brackets.
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        if error.errno not in _NONSENSE:
            raise
        return {}
    return data if isinstance(data, dict) else {}


def read_plain(path: Path, most: int, offset: int = 0) -> bytes:
    """Up to ``most`` bytes of a file; none of what is no file, such as a pipe that would hold us or a device without end."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(fd, most, offset) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def read_status(folder: Path, now: datetime | None = None) -> ExecutionStatus:
    """Where the execution of this folder stands: its record, and whether the process that keeps it lives.

    Args:
        now: our own time. A time in the record that is far beyond it is not believed, and left out.
    """
    start = read_json(folder / "start.json")
    if start is None:
        return ExecutionStatus(ExecutionState.ABSENT)
    # The order matters: a result that is written between the two looks must not be taken for a loss.
    lives = alive(start)
    record = read_json(folder / "status.json") or {}
    state = record.get("state", "setup")
    began, finished = _time(start.get("started_at"), now), _time(record.get("finished_at"), now)
    if began and finished and finished < began:
        finished = None
    failures = _failures(record.get("failures"))
    if state == "finished" and is_code(record.get("code")) and _reason(record):
        return evolve(_finished(record), started_at=began, finished_at=finished, failures=failures)
    if lives and state != "lost":
        # Its keeper writes the record anew when it ends.
        return ExecutionStatus(state if state in _GOING_ON else "running", started_at=began, failures=failures)
    return ExecutionStatus(
        ExecutionState.LOST,
        started_at=began,
        finished_at=finished,
        detail=_detail(record) or "the process that follows the run is gone and left no result",
        failures=failures,
    )


def _finished(record: dict[str, Any]) -> ExecutionStatus:
    code, signal = ended_as(record["code"])
    return ExecutionStatus(
        ExecutionState.FINISHED, exit_code=code, signal=signal, reason=record["reason"], detail=_detail(record)
    )


def _reason(record: dict[str, Any]) -> bool:
    reason = record.get("reason")
    return isinstance(reason, str) and reason in REASONS


def _detail(record: dict[str, Any]) -> str:
    detail = record.get("detail")
    return one_line(detail, _LONGEST_DETAIL) if isinstance(detail, str) else ""


def _failures(codes: object) -> tuple[int, ...]:
    found = codes if isinstance(codes, list) else []
    return tuple(code for code in found[:_MOST_FAILURES] if is_code(code))


def is_code(code: object) -> bool:
    """Whether a job can have ended so: an exit code, or the number of a signal below zero."""
    return isinstance(code, int) and not isinstance(code, bool) and -_LAST_SIGNAL <= code <= _LAST_CODE


def ended_as(code: int) -> tuple[int, str | None]:
    """The exit code and the signal's name; ``-N`` and ``128 + N`` both mean that signal N ended the job.

    A shell passes the end of its child on as ``128 + N``.
    """
    number = -code if code < 0 else code - 128
    return (128 + number if code < 0 else code), _signal_name(number)


def _signal_name(number: int) -> str | None:
    if not 1 <= number <= _LAST_NAMED:
        return None
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return None


def _time(seconds: object, now: datetime | None) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LATEST:
        return None
    return plausible(datetime.fromtimestamp(seconds, UTC), now)


def plausible(time: datetime, now: datetime | None) -> datetime | None:
    """A time as a node tells it, unless its clock cannot be right: before this project began, or far beyond our own time."""
    return time if time >= _EARLIEST and (now is None or time - now <= _AHEAD) else None
