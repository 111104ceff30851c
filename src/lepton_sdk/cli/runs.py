"""``lepton ps``, ``logs``, ``pull`` and ``stop``."""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, cast

import click

from lepton_sdk.cli.render import ago, emit, json_option, readable, table, warn
from lepton_sdk.client import Client
from lepton_sdk.errors import LeptonError

if TYPE_CHECKING:
    from lepton_sdk.aio import AsyncClient
    from lepton_sdk.cli.progress import StatusLine
    from lepton_sdk.domain.run import Run

__all__ = ["logs_command", "ps_command", "pull_command", "stop_command"]

# A stop that takes longer than this shows a message.
_QUICK_SECONDS = 1.0
_WAITING = "stopping and giving machines back, {clock}; Ctrl-C leaves that to a follower process"


@click.command("ps")
@click.option("-a", "--all", "everything", is_flag=True, help="Ended runs too.")
@click.option("--limit", type=click.IntRange(1), help="Only the newest N runs.")
@json_option
def ps_command(everything: bool, limit: int | None, as_json: bool) -> None:
    """List runs, newest first."""
    from lepton_sdk._clock import SteadyClock

    clock = SteadyClock()
    with Client(clock=clock) as client:
        runs = client.runs(all=everything or as_json, limit=limit)
    now = clock.now()
    if as_json:
        emit([run.to_dict(now) for run in runs])
        return
    rows, queued = [], []
    for run in runs:
        reasons = [node.queued for node in run.members if node.queued and not run.state.ended]
        queued += [f"{run.name} ({run.id}) is queued at {run.provider}: {reasons[0]}"] if reasons else []
        cost = run.cost(now)
        began, ended = run.started_at or run.created_at, run.finished_at or now
        rows.append(
            (
                run.id,
                run.name,
                "queued" if reasons else run.state,
                run.exit_code,
                run.provider,
                cost.display() if cost is not None else "",
                ago(began, ended),
                f"{ago(run.created_at, now)} ago",
            )
        )
    head = ("RUN", "NAME", "STATE", "EXIT", "PROVIDER", "COST", "TIME", "CREATED")
    table(head, rows, "no runs" if everything else "no open runs; see ended ones with lepton ps --all")
    for line in queued:
        click.echo(readable(line))


@click.command("logs")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Continue until the run has ended.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Begin at this byte.")
@click.option("--node", type=click.IntRange(0), metavar="RANK", help="Only the output of this node, unchanged.")
@json_option
def logs_command(run: str, follow: bool, offset: int, node: int | None, as_json: bool) -> None:
    """Show the output of RUN (an id, a job's name, or the beginning of an id)."""
    # A character may be split between two pieces.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with (
        Client() as client,
        closing(cast("Generator[bytes]", client.logs(run, offset=offset, follow=follow, node=node))) as chunks,
    ):
        for chunk in chunks:
            if as_json:
                click.echo(json.dumps({"offset": offset, "text": decoder.decode(chunk)}))
            else:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            offset += len(chunk)
        if as_json and (rest := decoder.decode(b"", final=True)):
            click.echo(json.dumps({"offset": offset, "text": rest}))


@click.command("pull")
@click.argument("run")
@click.argument("patterns", nargs=-1)
@click.option("--to", "target", type=click.Path(file_okay=False), help="Target folder; by default one named after the run's id.")
@json_option
def pull_command(run: str, patterns: tuple[str, ...], target: str | None, as_json: bool) -> None:
    """Fetch files of RUN: its outputs, or the files that match PATTERNS (as in .gitignore)."""
    with Client() as client:
        place = target or client.get(run).id
        found = client.pull(run, place, patterns)
        warn(*client.warnings())
    if as_json:
        emit({"target": place, "files": list(found)})
        return
    for path in found:
        click.echo(f"{place}/{readable(path)}")
    if not found:
        click.echo(f"lepton: no file of run {run} fits", err=True)


@click.command("stop")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--now", is_flag=True, help="Release machines at once: logs and outputs that are not here yet are lost.")
@json_option
def stop_command(runs: tuple[str, ...], now: bool, as_json: bool) -> int:
    """Stop runs and release their machines."""
    from lepton_sdk._clock import SteadyClock

    clock = SteadyClock()
    with Client(clock=clock) as client:
        # If one name is wrong, no run is stopped.
        names = list(dict.fromkeys(client.get(run).id for run in runs))
    ended = asyncio.run(_stop_all(names, now=now))
    if as_json:
        emit([run.to_dict(clock.now()) for run in ended])
    else:
        for run in ended:
            click.echo(f"{run.id} {run.state}")
    return 0 if all(run.state.ended for run in ended) else 130


async def _stop_all(names: Sequence[str], *, now: bool) -> list[Run]:
    """Return the runs: ended, or open with a follower if the user did not wait."""
    from lepton_sdk.aio import AsyncClient
    from lepton_sdk.cli.progress import StatusLine
    from lepton_sdk.cli.signals import Ears

    async with AsyncClient() as client:
        ears = Ears()
        logging.getLogger("lepton_sdk.leaving").disabled = True
        status = StatusLine(lambda _: None)
        with ears.open():
            work = asyncio.gather(*(client.stop(name, now=now) for name in names), return_exceptions=True)
            try:
                if not (heard := await ears.hear(work, seconds=_QUICK_SECONDS)) and not work.done():
                    status.waiting(_WAITING)
                    heard = await ears.hear(work)
                if heard:
                    await _hand_on(client, names, work, status)
                    return [await client.get(name) for name in names]
                return _answers(work.result())
            finally:
                status.close()


async def _hand_on(
    client: AsyncClient, names: Sequence[str], work: asyncio.Future[list[Run | BaseException]], status: StatusLine
) -> None:
    from lepton_sdk.cli.signals import over

    await over(work)
    for name in names:
        if not (await client.get(name)).state.ended:
            await client.detach(name, accept_exposure=True)
            status.say(f"lepton: a follower process goes on stopping run {name}; see it with lepton ps and lepton nodes")


def _answers(answers: Sequence[Run | BaseException]) -> list[Run]:
    """The runs. A run that could not be stopped does not keep the others from stopping."""
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    if errors:
        raise next((error for error in errors if isinstance(error, LeptonError)), errors[0])
    return [answer for answer in answers if not isinstance(answer, BaseException)]
