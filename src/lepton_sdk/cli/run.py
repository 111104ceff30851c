"""``lepton run``."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lepton_sdk.cli.jobargs import JobCommand, job_from, job_options
from lepton_sdk.cli.render import emit, json_option, warn
from lepton_sdk.cli.status import StatusLine
from lepton_sdk.client import Client
from lepton_sdk.errors import ExposureNotAccepted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lepton_sdk.domain.job import Job
    from lepton_sdk.domain.run import Event, Run
    from lepton_sdk.router import Plan

__all__ = ["run_command"]

# For a run that ended without an exit code of its own; 124 and 130 are what timeout(1) and a shell would give.
_CODES = {"succeeded": 0, "failed": 1, "timed-out": 124, "stopped": 130, "lost": 69, "refused": 69}


class _Interrupted(BaseException):
    """The user, the terminal or the system wants us to leave."""


@click.command("run", cls=JobCommand)
@click.argument("file", required=False)
@job_options
@click.option("-d", "--detach", is_flag=True, help="Leave a follower process that drives the run, and return.")
@click.option(
    "--on-interrupt",
    type=click.Choice(["ask", "stop", "detach"]),
    default="ask",
    show_default=True,
    help="What an interrupt does to the run; without a terminal, ask means stop.",
)
@click.option("--accept-exposure", is_flag=True, help="Detach also where nothing ends a machine's bill should the follower die.")
@json_option
def run_command(file: str | None, detach: bool, on_interrupt: str, accept_exposure: bool, as_json: bool, **flags: Any) -> int:
    """Run a job: route it, take a machine, follow it, give the machine back.

    FILE is a job in YAML or TOML; or give the command after --. The exit code is the job's own.
    """
    job = job_from(file, flags)
    with Client() as client:
        try:
            if detach:
                run = _submitted(client, job, accept_exposure)
                _say_detached(client, run)
            else:
                run = _foreground(client, job, on_interrupt, accept_exposure, as_json=as_json)
        finally:
            warn(*client.warnings())
        _report(client, run, as_json=as_json)
    return 0 if detach or not run.state.ended else _exit_code(run)


def _submitted(client: Client, job: Job, accept_exposure: bool) -> Run:
    try:
        return client.submit(job, on_plan=_show_plan, accept_exposure=accept_exposure)
    except ExposureNotAccepted as error:
        if not _accepts(error):
            raise
        return client.submit(job, accept_exposure=True)


def _accepts(error: ExposureNotAccepted) -> bool:
    """Whether a person at a terminal takes the exposure; elsewhere nobody does."""
    if not sys.stdin.isatty():
        return False
    click.echo(f"\nlepton: {error.message}\nDetach all the same? [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _foreground(client: Client, job: Job, on_interrupt: str, accept_exposure: bool, *, as_json: bool) -> Run:
    status = StatusLine(sys.stderr if as_json else sys.stdout)
    run_id: list[str] = []

    def on_event(event: Event) -> None:
        run_id[:] = [event.run]
        status.event(event)

    try:
        with _signals():
            return client.run(job, on_plan=_show_plan, on_event=on_event, on_output=status.output, on_progress=status.progress)
    except (KeyboardInterrupt, _Interrupted, BrokenPipeError) as cause:
        status.close()
        if not run_id:
            raise KeyboardInterrupt from None
        return _leave(client, run_id[0], on_interrupt, accept_exposure, cause)
    finally:
        status.close()


def _show_plan(plan: Plan) -> None:
    click.echo(f"{plan}\n", err=True)


@contextmanager
def _signals() -> Iterator[None]:
    """A closed terminal and a polite kill end us the same way as Ctrl-C: with the run stopped or handed on."""

    def leave(*_: object) -> None:
        raise _Interrupted

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(client: Client, run_id: str, policy: str, accept_exposure: bool, cause: BaseException) -> Run:
    # A second interrupt while we tidy up must not leave less behind than the first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if policy == "ask":
        asks = isinstance(cause, KeyboardInterrupt) and sys.stdin.isatty()
        policy = _ask() if asks else "stop"
    if policy == "detach" and _detached(client, run_id, accept_exposure):
        run = client.get(run_id)
        _say_detached(client, run)
        return run
    click.echo("lepton: stopping the run and giving its machine back", err=True)
    return client.stop(run_id)


def _detached(client: Client, run_id: str, accept_exposure: bool) -> bool:
    try:
        client.detach(run_id, accept_exposure=accept_exposure)
    except ExposureNotAccepted as error:
        if not _accepts(error):
            click.echo(f"lepton: not left alone: {error.message}", err=True)
            return False
        client.detach(run_id, accept_exposure=True)
    return True


def _ask() -> str:
    click.echo("\nThe run goes on until it is stopped. [s]top it, or [d]etach and leave it running? ", err=True, nl=False)
    try:
        answer = sys.stdin.readline().strip().lower()
    except OSError:
        answer = ""
    return "stop" if answer.startswith("s") else "detach"


def _say_detached(client: Client, run: Run) -> None:
    click.echo(f"lepton: run {run.id} goes on; see it with lepton logs -f {run.id}, end it with lepton stop", err=True)
    for line in client.unfollowed(run.id):
        click.echo(f"lepton: without a follower: {line}", err=True)


def _report(client: Client, run: Run, *, as_json: bool) -> None:
    from lepton_sdk._clock import SystemClock
    from lepton_sdk.cli.render import ago

    now = SystemClock().now()
    if as_json:
        emit(run.to_dict(now))
        return
    if not run.state.ended:
        click.echo(run.id)
        return
    cost = run.cost(run.finished_at or now)
    began = run.started_at or run.created_at
    parts = [
        f"run {run.id} {run.state}",
        f"exit code {run.exit_code}" if run.exit_code is not None else "",
        f"on {run.provider}" if run.provider else "",
        f"in {ago(began, run.finished_at or now)}",
        f"for {cost.display()}" if cost is not None else "",
    ]
    click.echo(f"lepton: {', '.join(part for part in parts if part)}", err=True)
    if run.error:
        click.echo(f"lepton: {run.error}", err=True)


def _exit_code(run: Run) -> int:
    return run.exit_code if run.exit_code is not None else _CODES[str(run.state)]
