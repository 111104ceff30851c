"""Runs of this host that an earlier version started: their records are JSON, and a Python program stays with them.

Such a run is read and ended here until it is over. Nothing is started in this way any more, so the file can go when no run of
that time is left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lepton_sdk._executors.keeper.talk import cancelled, stale
from lepton_sdk._executors.transports.local.log import read_plain
from lepton_sdk.spi.executor import Execution

__all__ = ["answer", "check_fence", "grace_of", "is_earlier", "keeper_lives", "mark_cancelled", "signal_keeper"]

_LONGEST_RECORD = 1 << 20
# What is longer was not written by us.
_LONGEST_NUMBER, _LONGEST_GRACE = 18, 3600.0
# No kernel gives a process a higher number.
_HIGHEST = 1 << 31


def is_earlier(folder: Path) -> bool:
    """Whether an earlier version started the run of this folder."""
    return os.path.lexists(folder / "start.json")


def check_fence(folder: Path, execution: Execution) -> bool:
    """Whether an earlier version started it; raises its fence to our epoch then.

    Raises:
        StaleEpoch: a newer follower has taken it over.
        JobCancelled: it was cancelled before it started.
    """
    if not is_earlier(folder):
        if (folder / "cancel").is_file():
            if execution.epoch <= _number(folder / "cancel"):
                raise cancelled(execution)
            (folder / "cancel").unlink(missing_ok=True)
        _sweep_half_copy(folder)
        return False
    epoch = _read(folder / "start.json").get("epoch", 0)
    fence = max(_number(folder / "epoch"), epoch if isinstance(epoch, int) else 0)
    if execution.epoch < fence:
        raise stale(execution, fence)
    if execution.epoch > fence:
        fresh = folder / f".epoch.{os.getpid()}"
        fresh.write_text(str(execution.epoch))
        fresh.replace(folder / "epoch")
    return True


def _sweep_half_copy(folder: Path) -> None:
    """Remove what a client left that died while it copied the workdir. Today's clients copy to another place."""
    work = folder / "work"
    # In this order: before its start is noted no job writes anything there.
    if work.is_dir() and any(work.iterdir()) and not (folder / "start").exists():
        from lepton_sdk._executors.workdir.copy import remove_tree

        remove_tree(work)


def mark_cancelled(folder: Path) -> None:
    """Say that the run was cancelled, to the program that stays with it and to the keeper of today, which wants a folder."""
    mark = folder / "cancel"
    if mark.is_file():
        mark.unlink(missing_ok=True)
    mark.mkdir(exist_ok=True)


def answer(folder: Path) -> list[str]:
    """How it stands, in the words that a keeper of today answers with."""
    start = _read(folder / "start.json")
    # The order matters: a result that is written between the two looks must not be taken for a loss.
    lives = keeper_lives(start)
    return list(_words(start, _read(folder / "status.json"), lives=lives))


def _words(start: Mapping[str, Any], status: Mapping[str, Any], *, lives: bool) -> Iterator[str]:
    yield f"started {_text(start.get('started_at'))}"
    state = status.get("state")
    failures = status.get("failures")
    if isinstance(failures, list) and failures:
        yield f"failures {' '.join(map(_text, failures))}"
    if lives and state == "running":
        yield "running"
    if state in ("finished", "lost"):
        yield f"state {state}"
        yield f"finished {_text(status.get('finished_at'))}"
        yield from (f"{word} {_text(status.get(word))}" for word in ("code", "reason", "detail"))
    elif lives:
        yield "lives"


def _text(value: object) -> str:
    return "" if value is None else str(value).replace("\n", " ")


def grace_of(folder: Path) -> float:
    """Seconds that the run's processes have between being asked to end and being killed."""
    grace = _read(folder / "start.json").get("grace")
    return min(float(grace), _LONGEST_GRACE) if isinstance(grace, int | float) and grace >= 0 else 5.0


def keeper_lives(start: Mapping[str, Any]) -> bool:
    """Whether the process that claimed the run still lives: same boot, same pid, same start time."""
    pid = start.get("pid")
    if start.get("boot") != _boot_id() or not isinstance(pid, int) or not 0 < pid <= _HIGHEST:
        return False
    try:
        # The name stands in parentheses and may hold spaces and parentheses itself.
        facts = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return facts[0] not in (b"Z", b"X") and int(facts[19]) == start.get("born")


def signal_keeper(folder: Path, number: int) -> bool:
    """Signal the process that claimed the run, never one that has its pid by chance; whether it was reached."""
    import signal

    start = _read(folder / "start.json")
    if not keeper_lives(start) or start["pid"] == os.getpid():
        return False
    try:
        # The descriptor pins the process before its identity is checked, so that no other can take its place.
        handle = os.pidfd_open(start["pid"])
    except OSError:
        return False
    try:
        if keeper_lives(start):
            signal.pidfd_send_signal(handle, number)
            return True
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
    return False


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    """The mapping in a file; empty when its bytes are not what was written."""
    try:
        data = json.loads(read_plain(path, _LONGEST_RECORD))
    # A job can put anything there: a folder, a pipe, a link to itself, brackets within brackets.
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _number(path: Path) -> int:
    try:
        return int(read_plain(path, _LONGEST_NUMBER) or b"0")
    except (OSError, ValueError):
        return 0
