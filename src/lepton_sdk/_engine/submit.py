"""Taking a job in: every check that can fail without cost comes first, then one durable row."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from lepton_sdk._engine.market import look
from lepton_sdk._engine.session import Session
from lepton_sdk._executors.workdir import check_workdir
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.resources import Resources
from lepton_sdk.domain.run import Event, Run
from lepton_sdk.errors import JobSpecError, JournalError, LeptonError
from lepton_sdk.router import Plan, route

__all__ = ["check", "leave_follower", "plan_for", "read_secrets", "record"]


# Observers see so many candidates, so that no hook runs once per offer.
_RESCORED = 200


async def plan_for(session: Session, job: Job, *, live: bool) -> Plan:
    """Route a job over the market as it is now. A machine is only taken at a price that its provider has told."""
    market = await look(session, job.resources, live=live)
    plan = route(
        job,
        market.catalog,
        standing=market.standing,
        now=session.clock.now(),
        live_only=live,
        also=_narrower(session, job),
    )
    return _rescored(session, job, plan)


def _narrower(session: Session, job: Job) -> list[Resources]:
    """What observers want of every offer."""
    observers = session.registry.observers()
    found: list[Resources] = []
    for keys in observers.hook.filter_offers(job=job) if observers is not None else ():
        try:
            # What a hook does not say about spot stays as the job has it.
            found += [Resources.parse({"spot": "any", **keys})] if keys else []
        except (LeptonError, TypeError) as error:
            session.tell(f"an observer's filter does not hold and is left out: {error}")
    return found


def _rescored(session: Session, job: Job, plan: Plan) -> Plan:
    observers = session.registry.observers()
    if observers is None:
        return plan
    candidates = [candidate.to_dict() for candidate in plan.foremost(_RESCORED)]
    for scores in observers.hook.rescore(job=job, candidates=candidates):
        try:
            plan = plan.rescored(scores) if scores is not None else plan
        except (LeptonError, TypeError) as error:
            session.tell(f"an observer's scores do not hold and are left out: {error}")
    return plan


def check(job: Job) -> None:
    """Refuse what cannot run, before anything is asked or written.

    Raises:
        JobSpecError: the message names the field and the fix.
    """
    if job.workdir is not None:
        check_workdir(Path(job.workdir))
        _check_line_ends(Path(job.workdir).expanduser(), job.command)


def _check_line_ends(workdir: Path, command: str) -> None:
    """A script with Windows line ends names an interpreter that no node has, and all that a node says is "not found"."""
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
        JobSpecError: one is not set.
    """
    for name in job.secrets:
        if not environment.get(name):
            raise JobSpecError(f"secrets: {name} is not set here", hint=f"export {name}=… and submit again")
    return {name: environment[name] for name in job.secrets}


def record(session: Session, job: Job, run_id: str = "") -> Run:
    """Write the run's first row.

    Args:
        run_id: its id, made before; a new one without it.

    Raises:
        JournalError: it could not be written; nothing was started.
    """
    try:
        session.journal.renew_time()
        planned = Event("run.planned", run_id or session.new_id(), session.clock.now(), None, {"job": job.to_dict()})
        return session.journal.append(planned)
    except JournalError as error:
        # Only here it is certain: later a machine may be there already.
        error.hint = f"{error.hint}; nothing was started" if error.hint else "nothing was started"
        raise


def leave_follower(session: Session, run_ids: Sequence[str], secrets: Mapping[str, str]) -> int:
    """Start a follower process for these runs that outlives us; its process id.

    The secrets go through its standard input, so that no process list, file or environment holds them.
    """
    config, words = session.config, [word for run_id in run_ids for word in ("--run", run_id)]
    # It must see what this client sees, also what came as arguments.
    state = str(config.state_dir) if config.database is None else config.database.reveal()
    places = {"LEPTON_SDK_STATE": state, "LEPTON_SDK_CACHE": str(config.cache_dir)}
    if config.path.exists():
        places["LEPTON_SDK_CONFIG"] = str(config.path)
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = config.state_dir / "follower.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "lepton_sdk", "follow", *words, "--secrets-on-stdin"],
            stdin=subprocess.PIPE,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env={**os.environ, **places},
            cwd="/",
        )
    finally:
        os.close(descriptor)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps(dict(secrets)).encode())
    # It may outlive us. Where it ends before us, somebody must take note of its end, or it stays in the list of processes.
    threading.Thread(target=process.wait, name="lepton-follower", daemon=True).start()
    return process.pid
