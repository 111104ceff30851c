"""``lepton ps``, ``logs``, ``pull`` and ``stop``."""

from __future__ import annotations

import asyncio
import codecs
import json
import sys
from collections.abc import Generator
from contextlib import closing
from typing import cast

import click

from lepton_sdk.cli.render import ago, emit, json_option, readable, table, warn
from lepton_sdk.client import Client

__all__ = ["logs_command", "ps_command", "pull_command", "stop_command"]


@click.command("ps")
@click.option("-a", "--all", "everything", is_flag=True, help="Ended runs too.")
@click.option("--limit", type=click.IntRange(1), help="So many newest runs.")
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
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Begin at this byte.")
@click.option("--node", type=click.IntRange(0), metavar="RANK", help="Only of this node, as it is.")
@json_option
def logs_command(run: str, follow: bool, offset: int, node: int | None, as_json: bool) -> None:
    """Show the output of RUN (an id, a job's name, or the beginning of an id)."""
    # A letter may lie on both sides of the place where two pieces meet.
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
@click.option("--to", "target", type=click.Path(file_okay=False), help="Into this folder; one with the run's id if not said.")
@json_option
def pull_command(run: str, patterns: tuple[str, ...], target: str | None, as_json: bool) -> None:
    """Bring files of RUN here: its outputs, or what PATTERNS name (as in .gitignore)."""
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
@click.option("--now", is_flag=True, help="Give machines back at once: logs and outputs that are not here yet are lost.")
@json_option
def stop_command(runs: tuple[str, ...], now: bool, as_json: bool) -> int:
    """End runs and give their machines back."""
    from lepton_sdk._clock import SteadyClock
    from lepton_sdk.cli.stopping import stop_all

    clock = SteadyClock()
    with Client(clock=clock) as client:
        # When one word names no run, none is stopped.
        names = list(dict.fromkeys(client.get(run).id for run in runs))
    ended = asyncio.run(stop_all(names, now=now))
    if as_json:
        emit([run.to_dict(clock.now()) for run in ended])
    else:
        for run in ended:
            click.echo(f"{run.id} {run.state}")
    return 0 if all(run.state.ended for run in ended) else 130
