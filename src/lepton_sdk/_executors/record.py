"""What stands in the folder of one execution, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_sdk._executors.processes import alive
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["ended_as", "read_json", "read_status"]

_GOING_ON = ("setup", "running")
# Numbers above 31 are real-time signals, which have no names of their own.
_LAST_NAMED = 31


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a file; ``None`` without the file, empty when its bytes are not what was written."""
    import json

    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def read_status(folder: Path) -> ExecutionStatus:
    """Where the execution of this folder stands: its record, and whether the process that keeps it lives."""
    start = read_json(folder / "start.json")
    if start is None:
        return ExecutionStatus(ExecutionState.ABSENT)
    # The order matters: a result that is written between the two looks must not be taken for a loss.
    lives = alive(start)
    record = read_json(folder / "status.json") or {}
    state = record.get("state", "setup")
    began, failures = _time(start.get("started_at")), tuple(record.get("failures", ()))
    if state == "finished":
        return evolve(_finished(record, began), failures=failures)
    if state in _GOING_ON and lives:
        return ExecutionStatus(state, started_at=began, failures=failures)
    return ExecutionStatus(
        ExecutionState.LOST,
        started_at=began,
        finished_at=_time(record.get("finished_at")),
        detail=record.get("detail", "the process that follows the run is gone and left no result"),
        failures=failures,
    )


def _finished(record: dict[str, Any], began: datetime | None) -> ExecutionStatus:
    code, signal = ended_as(int(record["code"]))
    return ExecutionStatus(
        ExecutionState.FINISHED,
        exit_code=code,
        signal=signal,
        reason=record.get("reason"),
        started_at=began,
        finished_at=_time(record.get("finished_at")),
        detail=record.get("detail", ""),
    )


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


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
