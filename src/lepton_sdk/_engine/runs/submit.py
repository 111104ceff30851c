"""Accept a job: first every check that can fail without cost, then one durable entry. Begin with `check`, then `record`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from lepton_sdk._engine.engine import Engine
from lepton_sdk._executors.workdir.walk import check_workdir
from lepton_sdk.domain.events import RunPlanned
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import JobSpecError, JournalError

__all__ = ["check", "read_secrets", "record"]


def check(job: Job) -> None:
    """Refuse a job that cannot run, before anything is asked or written.

    Raises:
        JobSpecError: the message names the field and the fix.
    """
    if job.workdir is not None:
        check_workdir(Path(job.workdir))
        _check_line_ends(Path(job.workdir).expanduser(), job.command)


def _check_line_ends(workdir: Path, command: str) -> None:
    """Refuse a script with Windows line ends: it names an interpreter that no node has, and the node only says "not found"."""
    try:
        word = shlex.split(command)[0]
        with (workdir / word).open("rb") as file:
            first = file.readline(256)
    except (OSError, ValueError, IndexError):
        return
    if first.startswith(b"#!") and first.endswith(b"\r\n"):
        line = first.decode(errors="replace")
        raise JobSpecError(
            f"workdir: {word} has Windows line ends (its first line is {line!r}), so no node can start it",
            hint=f"sed -i 's/\\r$//' {shlex.quote(word)}; with git: a line '*.sh text eol=lf' in .gitattributes",
        )


def read_secrets(job: Job, environment: Mapping[str, str]) -> dict[str, str]:
    """The values of the job's secrets.

    Raises:
        JobSpecError: a secret is not set.
    """
    for name in job.secrets:
        if not environment.get(name):
            raise JobSpecError(f"secrets: {name} is not set here", hint=f"export {name}=… and submit again")
    return {name: environment[name] for name in job.secrets}


def record(engine: Engine, job: Job, run_id: str = "") -> Run:
    """Write the run's first entry.

    Args:
        run_id: an id that was made before; empty for a new one.

    Raises:
        JournalError: the entry could not be written; nothing was started.
    """
    try:
        engine.journal.renew_time()
        return engine.append(run_id or engine.new_id(), RunPlanned(job))
    except JournalError as error:
        # Only here it is certain that nothing was started: later a machine may exist already.
        error.hint = f"{error.hint}; nothing was started" if error.hint else "nothing was started"
        raise
