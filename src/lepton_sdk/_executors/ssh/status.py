"""Reading what the keeper says of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attrs import evolve

from lepton_sdk._executors.record import ended_as
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["read_answer", "told_clock"]

_GONE = "the process that follows the run is gone and left no result"


def read_answer(lines: Sequence[str]) -> ExecutionStatus:
    """The status in the lines of an answer: words that stand alone, and words with a value."""
    said = {word: value for word, _, value in (line.partition(" ") for line in lines)}
    if "absent" in said:
        return ExecutionStatus(ExecutionState.ABSENT)
    if "started" not in said:
        raise ContractViolation(f"the keeper of a run gave an answer without sense: {list(lines)!r}")
    began, finished = _time(said["started"]), _time(said.get("finished", ""))
    failures = tuple(ended_as(int(code))[0] for code in said.get("failures", "").split())
    match said.get("state"):
        case "finished":
            return evolve(_finished(said, began, finished), failures=failures)
        case None if "lives" in said:
            return ExecutionStatus("running" if "running" in said else "setup", started_at=began, failures=failures)
    detail = said.get("detail") or _GONE
    return ExecutionStatus(ExecutionState.LOST, started_at=began, finished_at=finished, detail=detail, failures=failures)


def told_clock(lines: Sequence[str]) -> int | None:
    """The node's time since its boot, hundredths of a second, where a run has a lease."""
    return next((int(line.removeprefix("clock ")) for line in lines if line.startswith("clock ")), None)


def _finished(said: Mapping[str, str], began: datetime | None, finished: datetime | None) -> ExecutionStatus:
    code, signal = ended_as(int(said["code"]))
    return ExecutionStatus(
        ExecutionState.FINISHED,
        exit_code=code,
        signal=signal,
        reason=said.get("reason"),
        started_at=began,
        finished_at=finished,
        detail=said.get("detail", ""),
    )


def _time(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(float(seconds), UTC) if seconds else None
