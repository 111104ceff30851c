"""The orders that the keeper gets about a run: text for a POSIX shell in which every value is quoted once and read once."""

from __future__ import annotations

import math
import re

from lepton_sdk._executors.container import contained
from lepton_sdk._executors.environment import job_environment, mark_of
from lepton_sdk._executors.places import place_of
from lepton_sdk.domain.words import is_variable
from lepton_sdk.errors import JobSpecError
from lepton_sdk.spi.executor import Execution

__all__ = ["hundredths", "orders", "run_path"]

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def run_path(execution: Execution) -> str:
    """The run's folder below the folder of runs, made only of characters that are safe in every shell and file system.

    Raises:
        JobSpecError: the run's id has other characters.
    """
    if not _SAFE.fullmatch(execution.run_id):
        text = f"{execution.run_id!r} cannot name a run"
        raise JobSpecError(text, hint="use letters, digits, dots, dashes and underscores, no dot or dash first")
    return place_of(execution.run_id, execution.attempt, execution.rank)


def hundredths(seconds: float | None) -> int:
    """Hundredths of a second, rounded up; 0 for ``None``."""
    return 0 if seconds is None else max(1, math.ceil(seconds * 100))


def orders(execution: Execution, grace: float) -> bytes:
    """All that the keeper must know about an execution. It contains secrets, so it is only sent, never stored.

    Raises:
        JobSpecError: a variable has a name or a value that no shell can pass on.
    """
    variables, execution = job_environment(execution), contained(execution)
    values: dict[str, object] = {
        "epoch": execution.epoch,
        "mark": mark_of(execution),
        "grace": hundredths(grace),
        "limit": "" if execution.time_limit is None else hundredths(execution.time_limit),
        "idle": "" if execution.idle_limit is None else hundredths(execution.idle_limit),
        "lease": "" if execution.lease is None else hundredths(execution.lease),
        "watchdog": execution.watchdog,
        "again": execution.job.max_failure_retry,
        "setup": execution.job.setup or "",
        "command": execution.job.command,
    }
    lines = [b"%s=%s" % (name.encode(), _quoted(str(value))) for name, value in values.items()]
    exports = [b"export %s=%s" % (_name(name), _quoted(value)) for name, value in variables.items()]
    return b"\n".join([*lines, b"variables() {", *exports, b"}", b"#end\n"])


def _name(name: str) -> bytes:
    if not is_variable(name):
        raise JobSpecError(f"{name!r} cannot name an environment variable", hint="use letters, digits and underscores")
    return name.encode()


def _quoted(text: str) -> bytes:
    """The text, quoted so that a shell reads it unchanged."""
    return b"'" + text.encode("utf-8", "surrogateescape").replace(b"'", b"'\\''") + b"'"
