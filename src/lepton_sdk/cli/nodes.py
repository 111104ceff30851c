"""``lepton nodes``, ``reconcile``, ``state`` and ``follow``."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import click

from lepton_sdk._clock import Clock, SteadyClock
from lepton_sdk.cli.render import ago, emit, json_option, table, warn
from lepton_sdk.client import Client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lepton_sdk._engine.inventory.report import HeldNode

__all__ = ["follow_command", "nodes_command", "reconcile_command", "state_command"]


@click.command("nodes")
@json_option
def nodes_command(as_json: bool) -> None:
    """List the machines that you hold, with their cost."""
    clock = SteadyClock()
    with Client(clock=clock) as client:
        nodes = client.nodes()
    if as_json:
        emit([node.to_dict() for node in nodes])
    else:
        _show(nodes, "nothing is held", clock)


@click.command("reconcile")
@click.option("--release-strays", is_flag=True, help="Also release machines of ours that this journal does not know.")
@click.option("--all-owners", is_flag=True, help="Also show the machines of other owners.")
@click.option("--give-up", metavar="NODE", help="Close the record of a node (full id or token) whose account is lost for good.")
@click.option("-y", "--yes", is_flag=True, help="With --give-up: do not ask.")
@json_option
def reconcile_command(release_strays: bool, all_owners: bool, give_up: str | None, yes: bool, as_json: bool) -> None:
    """Compare the journal with what providers list: take due steps, release duplicates, show the rest.

    --give-up is for a machine that nobody can ask about any more. Its run ends, the machine never counts as released, its
    possible cost stays in the run (cost_at_most), and lepton nodes shows it for a while. Nothing ends the machine: do that at
    its provider.
    """
    if give_up is not None and not yes:
        _confirm_giving_up(give_up)
    clock = SteadyClock()
    with Client(clock=clock) as client:
        report = client.reconcile(release_strays=release_strays, all_owners=all_owners, give_up=give_up)
    for name, message in report.unasked:
        warn(f"{name} could not be asked: {message}")
    if as_json:
        emit(report.to_dict())
    else:
        _show(report.nodes, "nothing is held, and no provider lists anything of ours", clock)


def _confirm_giving_up(node: str) -> None:
    from lepton_sdk.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"giving {node} up closes its row while its machine may be billed on", hint="add --yes to do it")
    click.confirm(f"Nothing ends the machine {node}, and it may be billed on. Close its row all the same?", abort=True, err=True)


def _show(nodes: Sequence[HeldNode], empty: str, clock: Clock) -> None:
    # The journal's time: the wall clock may have been set since.
    now = clock.now()
    rows = [
        (
            node.id,
            node.provider,
            node.state,
            node.run,
            node.price.display() if node.price is not None else "?",
            _cost(node),
            ago(node.since, now),
            node.difference,
            node.action,
        )
        for node in nodes
    ]
    head = ("NODE", "PROVIDER", "STATE", "RUN", "PRICE/H", "COST SO FAR", "SINCE", "JOURNAL", "ACTION")
    table(head, rows, empty)


def _cost(node: HeldNode) -> str:
    """Its cost so far, as a range while it is unknown whether it exists."""
    if node.cost is None:
        return "?"
    most = node.cost_most
    return node.cost.display() if most is None or most == node.cost else f"{node.cost.display()} to {most.display()}"


@click.command("state")
@click.argument("action", type=click.Choice(["show", "adopt", "new"]), default="show")
@json_option
def state_command(action: str, as_json: bool) -> None:
    """Show the journal's owner. ADOPT takes over a journal that is a copy or an older backup.
    NEW begins a journal where the old one is gone or damaged, and keeps the remains of the old one.

    Adopt only if the original is gone for good: two journals with one history release each other's machines. After a
    roll-back open runs are stopped; lepton reconcile still lists machines of the old owner, or of a lost journal.
    """
    with Client() as client:
        state = {"show": client.state, "adopt": client.adopt_state, "new": client.new_state}[action]()
    if as_json:
        emit(state)
        return
    table(("STATE", "VALUE"), [(name, value) for name, value in state.items()], "")


@click.command("follow")
@click.option("--run", "runs", multiple=True, help="Drive only this run, then end; repeat for more.")
@click.option("--until-idle", is_flag=True, help="End when no run is open.")
@click.option("--secrets-on-stdin", is_flag=True, hidden=True)
@json_option
def follow_command(runs: tuple[str, ...], until_idle: bool, secrets_on_stdin: bool, as_json: bool) -> None:
    """Drive open runs until stopped, as a service."""
    from lepton_sdk._engine.claims.stall import end_this_process

    end_this_process()
    environment: dict[str, str] | None = None
    if secrets_on_stdin:
        environment = json.loads(sys.stdin.read() or "{}")
    driven = asyncio.run(_followed(runs, until_idle=until_idle or bool(runs), secrets=environment))
    if as_json:
        emit({"driven": driven})


async def _followed(runs: Sequence[str], *, until_idle: bool, secrets: Mapping[str, str] | None) -> int:
    from lepton_sdk.aio import AsyncClient

    loop = asyncio.get_running_loop()
    async with AsyncClient() as client:
        work = asyncio.ensure_future(client.follow(only=runs, until_idle=until_idle, secrets=secrets))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # An ignored hangup (nohup) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, work.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            # The runs continue by themselves; the next follower takes them over.
            return 0
