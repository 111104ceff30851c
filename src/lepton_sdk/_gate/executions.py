"""Checks what an executor reports about a job on a node, and what it fetches from there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from lepton_sdk._gate.values import Check, Wrong, flag, is_a, kind, maybe, part_of, time, violation, whole, words
from lepton_sdk.domain.words import one_line
from lepton_sdk.spi.executor import CommandResult, ExecutionState, ExecutionStatus, Fetched

__all__ = ["checked_armed", "checked_chunk", "checked_command", "checked_fetched", "checked_status"]

_T = TypeVar("_T")
_REASONS = frozenset({"exit", "setup", "timeout", "idle", "cancelled", "refused"})
# Upper bounds: restarts of a job (`max_failure_retry`, with room), files of a run, bytes of a path.
_MOST_FAILURES, _MOST_FILES, _LONGEST_PATH = 10_000, 10_000_000, 4096
_MOST_ADDRESSES = 100
# An exit code fits into a byte.
_CODE = whole(255)


def _reason(value: Any) -> str | None:
    if value is None or (is_a(value, str) and str.__str__(value) in _REASONS | {""}):
        return None if value is None else str.__str__(value)
    raise Wrong(f"write one of {', '.join(sorted(_REASONS))}, or None")


def _failures(value: Any) -> tuple[int, ...]:
    if not is_a(value, tuple) or len(value) > _MOST_FAILURES:
        raise Wrong("write a tuple of exit codes")
    return tuple(map(_CODE, value))


def _moment(value: Any) -> Any:
    """A node's clock decides nothing, so an impossible time is dropped."""
    try:
        return time(value)
    except Wrong:
        if not is_a(value, datetime):
            raise
        return None


def _addresses(value: Any) -> tuple[str, ...]:
    if not is_a(value, tuple) or len(value) > _MOST_ADDRESSES:
        raise Wrong("write a tuple of addresses, host:port or a URL each")
    return tuple(map(words(300), value))


_STATUS: Mapping[str, Check] = {
    "state": kind(ExecutionState),
    "exit_code": maybe(_CODE),
    "signal": maybe(words(32)),
    "reason": _reason,
    "started_at": maybe(_moment),
    "finished_at": maybe(_moment),
    "detail": words(),
    "failures": _failures,
    "ready": flag,
    "addresses": _addresses,
}


def checked_status(value: Any) -> ExecutionStatus:
    """The same status, with printable texts and without impossible times.

    Raises:
        ContractViolation: it is not a status, or a field breaks the contract.
    """
    return _made(ExecutionStatus, _STATUS, value, "the answer")


def _bytes(value: Any) -> bytes:
    if not is_a(value, bytes):
        raise Wrong("write bytes")
    return bytes(value)


_COMMAND: Mapping[str, Check] = {"exit_code": maybe(whole(2**32)), "output": _bytes, "errors": _bytes}


def checked_command(value: Any) -> CommandResult:
    """The result of one command, as bytes.

    Raises:
        ContractViolation: it is not that.
    """
    return _made(
        CommandResult, {"exit_code": maybe(whole(2**32)), "output": _bytes, "errors": _bytes}, value, "the command's result"
    )


def _path(value: Any) -> str:
    if not is_a(value, str) or not 0 < len(value) <= _LONGEST_PATH or "\0" in value:
        raise Wrong("write a path as text")
    return str.__str__(value)


def _paths(value: Any) -> tuple[str, ...]:
    if not is_a(value, tuple) or len(value) > _MOST_FILES:
        raise Wrong("write a tuple of paths")
    return tuple(map(_path, value))


def _missing(value: Any) -> tuple[tuple[str, str], ...]:
    fix = "write a tuple of pairs: a path and why it is missing"
    if not is_a(value, tuple) or len(value) > _MOST_FILES:
        raise Wrong(fix)
    if not all(is_a(pair, tuple) and len(pair) == 2 and is_a(pair[1], str) for pair in value):
        raise Wrong(fix)
    return tuple((_path(path), one_line(why)) for path, why in value)


def checked_fetched(value: Any) -> Fetched:
    """Which files were fetched, and which were not.

    Raises:
        ContractViolation: it is not that.
    """
    return _made(Fetched, {"paths": _paths, "missing": _missing}, value, "what fetch() gave")


def checked_chunk(value: Any) -> bytes:
    """A piece of output.

    Raises:
        ContractViolation: it is not bytes.
    """
    if not is_a(value, (bytes, bytearray, memoryview)):
        raise violation("a piece of output", value, "yield bytes from logs()")
    return bytes(value)


def checked_armed(value: Any) -> bool:
    """Whether a watchdog runs.

    Raises:
        ContractViolation: it is neither true nor false.
    """
    if value is not True and value is not False:
        raise violation("what armed() gave", value, "return True or False")
    return value


def _made(cls: type[_T], checks: Mapping[str, Check], value: Any, what: str) -> _T:
    if not is_a(value, cls):
        raise violation(what, value, f"give back an object of lepton_sdk.spi.{cls.__name__}")
    values: dict[str, Any] = {}
    for part, check in checks.items():
        given = part_of(value, part)
        try:
            values[part] = check(given)
        except Wrong as wrong:
            raise violation(part, given, str(wrong)) from None
    return cls(**values)
