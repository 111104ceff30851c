"""The command line, read from click: usage, help and options of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from lepton_sdk.cli.main import cli

__all__ = ["command_pages"]


def command_pages() -> str:
    """One section for each command of core."""
    top = click.Context(cli, info_name="lepton")
    # Commands of plugins stand on their providers' pages; the first list is what core brings.
    from lepton_sdk.cli.main import _COMMANDS

    return "\n\n".join(part for name in _COMMANDS for part in _command(name, cli.get_command(top, name), top))


def _command(name: str, command: Any, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"## lepton {name}"
    yield f"```text\nlepton {name} {pieces}\n```"
    yield (command.help or "").replace("\b", "")
    rows = [_option(parameter, context) for parameter in command.params if isinstance(parameter, click.Option)]
    shown = [row for row in rows if row]
    if shown:
        yield "\n".join(["| option | meaning |", "|---|---|", *shown])


def _option(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    if record is None:
        return ""
    names, words = record
    return f"| `{names}` | {words} |".replace("{", r"\{")
