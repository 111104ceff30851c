"""The entry point of ``lepton``: the table of commands, and how an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import click

from lepton_sdk.errors import LeptonError, PluginBroken

__all__ = ["cli", "main"]

_GROUP = "lepton_sdk.commands.v1"
# Name → (module, one line of help): a command's module is imported only when the command is used.
_COMMANDS = {
    "offers": ("market", "List offers, with price, source and date."),
    "route": ("market", "Show where a job would run, and why everything else lost."),
    "run": ("run", "Run a job: route it, take a machine, follow it, release the machine."),
    "ps": ("runs", "List runs."),
    "logs": ("runs", "Show the output of a run."),
    "pull": ("runs", "Fetch files of a run."),
    "ssh": ("ssh", "Open a shell on a machine of a run."),
    "forward": ("ssh", "Forward a port of a run's machine to this host."),
    "stop": ("runs", "Stop a run and release its machine."),
    "nodes": ("nodes", "List the machines that you hold, with their cost."),
    "reconcile": ("nodes", "Compare the journal with what providers list."),
    "state": ("nodes", "Show the journal's owner; adopt a journal from another host."),
    "follow": ("nodes", "Drive open runs, as a service."),
    "plugins": ("diagnose", "List plugins and their states."),
    "config": ("diagnose", "Show the settings in force, and the source of each."),
    "doctor": ("diagnose", "Check this host and each provider, free of charge."),
    "completion": ("diagnose", "Print the shell's completion script."),
}


class _Commands(click.Group):
    """Our commands from the table, then the commands of plugins by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *(name for name in _plugin_commands() if name not in _COMMANDS)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        from importlib import import_module

        if name in _COMMANDS:
            command: click.Command = getattr(import_module(f"lepton_sdk.cli.{_COMMANDS[name][0]}"), f"{name}_command")
            return command
        if name in _plugin_commands():
            return _plugin_command(name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in _COMMANDS.items()])
        if names := [name for name in _plugin_commands() if name not in _COMMANDS]:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"lepton {name} --help") for name in names])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from lepton_sdk.domain.fields import nearest

            if hint := nearest(args[0], self.list_commands(ctx)):
                raise click.UsageError(f"{error.message} {hint}", ctx) from None
            raise


@cache
def _plugin_commands() -> tuple[str, ...]:
    """Only names, also of unusable plugins: reading settings and specs would cost more than all the rest."""
    from lepton_sdk._plugins.entry_points import entry_points

    return tuple(sorted({entry.name for entry in entry_points() if entry.group == _GROUP}))


def _plugin_command(name: str) -> click.Command:
    from lepton_sdk._clock import SystemClock
    from lepton_sdk._config import load_config
    from lepton_sdk._plugins.registry import Registry

    command = Registry(load_config(), SystemClock()).command(name)
    if not isinstance(command, click.Command):
        raise PluginBroken(f"the command {name} is {type(command).__name__}, not a click command")
    return command


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import lepton_sdk

        click.echo(f"lepton {lepton_sdk.__version__}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """One market over every place that has GPUs.

    Questions (offers, route, plugins) touch no network and no state. Every command that answers takes --json.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    # Start-up creates many objects and no garbage: at the default threshold, collecting takes a tenth of the time.
    gc.set_threshold(100_000, 20, 20)
    _fill_closed_streams()
    try:
        code = _code(arguments)
    finally:
        _mute_broken_streams()
    sys.exit(code)


def _code(arguments: list[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="lepton", standalone_mode=False)
        # The reader may have gone before the rest of the buffer is written.
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        with suppress(OSError, ValueError):
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _note("interrupted")
        return 130
    except BrokenPipeError:
        return 141
    except LeptonError as error:
        _show(error, as_json="--json" in (arguments or sys.argv))
        return error.exit_code
    except OSError as error:
        if error.errno != errno.EIO or error.filename is not None:
            raise
        # The terminal is gone.
        return 129


def _show(error: LeptonError, *, as_json: bool) -> None:
    from lepton_sdk.cli.render import styled

    _note(json.dumps(error.to_dict()) if as_json else f"{styled('error:', fg='red')} {error}")
    for line in getattr(error, "__notes__", ()) if not as_json else ():
        _note(line)


def _note(text: str) -> None:
    from lepton_sdk.cli.render import note

    note(text)


def _fill_closed_streams() -> None:
    """Open /dev/null for each closed standard stream; else the journal or a connection would get its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # open() returns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _mute_broken_streams() -> None:
    """The reader of our output is gone; the interpreter must not complain about it on exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
