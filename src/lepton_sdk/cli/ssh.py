"""``lepton ssh`` and ``forward``: the user's own ssh, with the machine's address and host keys."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

import click

from lepton_sdk.cli.job_options import JobCommand
from lepton_sdk.client import Client
from lepton_sdk.errors import UsageError

__all__ = ["forward_command", "ssh_command"]

_node = click.option("--node", type=click.IntRange(0), default=0, metavar="RANK", help="Rank of the node.")


@click.command("ssh", cls=JobCommand)
@click.argument("run", metavar="RUN|NODE")
@_node
@click.option("--print", "as_config", is_flag=True, help="Print a block for ~/.ssh/config instead (editors, VS Code Remote).")
def ssh_command(run: str, node: int, as_config: bool) -> None:
    """Open a shell on a machine of RUN, in the run's folder; a command after -- runs there instead.

    If the run has an image, the shell is in its container; the id of a NODE means the machine itself.
    """
    words: list[str] | None = click.get_current_context().meta.get("words")
    with Client() as client:
        reach = client.reach(run, node)
        if as_config:
            click.echo(reach.config(), nl=False)
            return
        argv = reach.shell(shlex.join(words) if words else None)
    _become(argv)


@click.command("forward")
@click.argument("run", metavar="RUN|NODE")
@click.argument("port", metavar="PORT[:THERE]")
@_node
def forward_command(run: str, port: str, node: int) -> None:
    """Forward a port of RUN's machine to 127.0.0.1 here, until Ctrl-C."""
    here, _, there = port.partition(":")
    for text in (here, there or here):
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise UsageError(f"{port!r} is no port", hint="write 8888, or 9000:8888 for port 8888 there as 9000 here")
    with Client() as client:
        argv = client.reach(run, node).forward(int(here), int(there or here))
    click.echo(f"lepton: http://127.0.0.1:{here} is port {there or here} of run {run}; Ctrl-C ends that", err=True)
    _become(argv)


def _become(argv: list[str]) -> None:
    if shutil.which(argv[0]) is None:
        raise UsageError(f"{argv[0]} is not installed here", hint="install the OpenSSH client")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - no shell in between
