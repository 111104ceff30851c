"""How a run stands, read from what its keeper says. It is input: a job may write into the files that the keeper reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve

from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import NodeGarbled
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["LONGEST_DETAIL", "MOST_FAILURES", "REASONS", "ended_as", "is_code", "plausible", "read_answer", "told_clock"]

# Why an execution may have finished, in the words of its keeper.
REASONS = frozenset(("exit", "setup", "timeout", "idle", "cancelled"))
_GONE = "the process that follows the run is gone and left no result"
_NUMBER = re.compile(r"-?[0-9]{1,5}")
_SECONDS = re.compile(r"[0-9]{1,11}(\.[0-9]{0,12})?")
# Hundredths of a second since a boot: three hundred years. A shell counts with it.
_CLOCK = re.compile(r"clock ([0-9]{1,12})")
LONGEST_DETAIL = 500
# No job is started again so often, and each has its word in the journal.
MOST_FAILURES = 10_000
# Numbers above 31 are real-time signals, which have no names of their own.
_LAST_NAMED = 31
_LAST_SIGNAL, _LAST_CODE = 64, 255
_EARLIEST, _AHEAD = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)


def read_answer(lines: Sequence[str], now: datetime) -> ExecutionStatus:
    """The status in the lines of an answer: words that stand alone, and words with a value.

    Args:
        now: our own time. A time of the node that is far beyond it is not believed, and left out.

    Raises:
        NodeUnreachable: the answer makes no sense, so that nothing is known.
    """
    said = {word: value for word, _, value in (line.partition(" ") for line in lines)}
    if "absent" in said:
        return ExecutionStatus(ExecutionState.ABSENT)
    if "started" not in said:
        raise _nonsense(lines)
    began, finished = _time(said["started"], now), _time(said.get("finished", ""), now)
    if began and finished and finished < began:
        finished = None
    failures = _failures(said.get("failures", ""), lines)
    match said.get("state"):
        case "finished":
            return evolve(_finished(said, lines), started_at=began, finished_at=finished, failures=failures)
        case None if "lives" in said:
            return ExecutionStatus("running" if "running" in said else "setup", started_at=began, failures=failures)
        case None | "lost":
            detail = one_line(said.get("detail", ""), LONGEST_DETAIL) or _GONE
            return ExecutionStatus(ExecutionState.LOST, started_at=began, finished_at=finished, detail=detail, failures=failures)
    raise _nonsense(lines)


def told_clock(lines: Sequence[str]) -> int | None:
    """The node's time since its boot, hundredths of a second, where a run has a lease."""
    return next((int(match[1]) for line in lines if (match := _CLOCK.fullmatch(line))), None)


def _finished(said: Mapping[str, str], lines: Sequence[str]) -> ExecutionStatus:
    reason = said.get("reason")
    if reason not in REASONS:
        raise _nonsense(lines)
    code, signal = _code(said.get("code", ""), lines)
    detail = one_line(said.get("detail", ""), LONGEST_DETAIL)
    return ExecutionStatus(ExecutionState.FINISHED, exit_code=code, signal=signal, reason=reason, detail=detail)


def _code(text: str, lines: Sequence[str]) -> tuple[int, str | None]:
    if not _NUMBER.fullmatch(text) or not is_code(int(text)):
        raise _nonsense(lines)
    return ended_as(int(text))


def _failures(text: str, lines: Sequence[str]) -> tuple[int, ...]:
    words = text.split()
    if len(words) > MOST_FAILURES:
        raise _nonsense(lines)
    return tuple(_code(word, lines)[0] for word in words)


def _time(text: str, now: datetime) -> datetime | None:
    if not _SECONDS.fullmatch(text):
        return None
    return plausible(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(text)), now)


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


def plausible(time: datetime, now: datetime | None) -> datetime | None:
    """A time as a node tells it, unless its clock cannot be right: before this project began, or far beyond our own time."""
    return time if time >= _EARLIEST and (now is None or time - now <= _AHEAD) else None


def _nonsense(lines: Sequence[str]) -> NodeGarbled:
    text = one_line(" / ".join(line[:100] for line in lines[:10]), 200)
    return NodeGarbled(
        f"the keeper of the run gave an answer that makes no sense: {text!r}",
        hint="did the job change the files beside its folder? lepton stop gives the machine back",
    )
