"""``lepton run``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from lepton_sdk.cli.job_options import JobCommand, job_from, job_options
from lepton_sdk.cli.render import emit, json_option, note, plan_lines, warn
from lepton_sdk.client import Client
from lepton_sdk.errors import ExposureNotAccepted

if TYPE_CHECKING:
    from lepton_sdk.domain.job import Job
    from lepton_sdk.domain.run import Run

__all__ = ["run_command"]


@click.command("run", cls=JobCommand)
@click.argument("file", required=False)
@job_options
@click.option("-d", "--detach", is_flag=True, help="Start a follower process that drives the run, and return.")
@click.option(
    "--on-interrupt",
    type=click.Choice(["ask", "stop", "detach"]),
    default="ask",
    show_default=True,
    help="What an interrupt does to the run; without a terminal, ask means stop.",
)
@click.option("--accept-exposure", is_flag=True, help="Detach also where nothing ends a machine's bill if the follower dies.")
@json_option
def run_command(file: str | None, detach: bool, on_interrupt: str, accept_exposure: bool, as_json: bool, **flags: Any) -> int:
    """Run a job: route it, take a machine, follow it, release the machine.

    FILE is a job in YAML or TOML; or write the command after --. The exit code is the job's own.
    """
    job = job_from(file, flags)
    if detach:
        run = _detached(job, accept_exposure)
        _report(run, as_json=as_json)
        return 0
    run, is_left = asyncio.run(_foreground(job, on_interrupt, accept_exposure, as_json=as_json))
    _report(run, as_json=as_json)
    return 0 if is_left else run.exit_status


def _detached(job: Job, accept_exposure: bool) -> Run:
    with Client() as client:
        try:
            run = _submitted(client, job, accept_exposure)
            _say_detached(run, client.unfollowed(run.id))
            return run
        finally:
            warn(*client.warnings())


def _submitted(client: Client, job: Job, accept_exposure: bool) -> Run:
    try:
        return client.submit(job, on_plan=lambda plan: note(plan_lines(plan)), accept_exposure=accept_exposure)
    except ExposureNotAccepted as error:
        if not _accepts(error):
            raise
        return client.submit(job, accept_exposure=True)


def _accepts(error: ExposureNotAccepted) -> bool:
    """Whether the user at a terminal accepts the exposure; without a terminal, no."""
    if not sys.stdin.isatty():
        return False
    note(f"\nlepton: {error.message}\nDetach all the same? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def _foreground(job: Job, policy: str, accept_exposure: bool, *, as_json: bool) -> tuple[Run, bool]:
    """Return the run, and whether it was left to a follower."""
    from lepton_sdk._engine.claims.stall import end_this_process
    from lepton_sdk.aio import AsyncClient
    from lepton_sdk.cli.foreground import Foreground

    end_this_process()
    async with AsyncClient() as client:
        work = Foreground(client, policy, accept_exposure=accept_exposure, as_json=as_json)
        try:
            run = await work.drive(job)
            if work.is_left:
                _say_detached(run, await client.unfollowed(run.id))
            return run, work.is_left
        finally:
            warn(*(line for line in (work.lost_output(), *await client.warnings()) if line))


def _say_detached(run: Run, limits: list[str]) -> None:
    note(f"lepton: run {run.id} goes on; see it with lepton logs -f {run.id}, end it with lepton stop")
    for line in limits:
        note(f"lepton: without a follower: {line}")


def _report(run: Run, *, as_json: bool) -> None:
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
    note(f"lepton: {', '.join(part for part in parts if part)}")
    if run.error:
        note(f"lepton: {run.error}")
