"""``lepton plugins``, ``config``, ``doctor`` and ``completion``."""

from __future__ import annotations

import click

from lepton_sdk.cli.render import emit, json_option, table
from lepton_sdk.client import Client

__all__ = ["completion_command", "config_command", "doctor_command", "plugins_command"]


@click.command("plugins")
@click.option("--strict", is_flag=True, help="Exit with 78 when a plugin is broken, incompatible or in conflict.")
@json_option
def plugins_command(strict: bool, as_json: bool) -> None:
    """List plugins with state, distribution, version, reason and next step."""
    with Client() as client:
        statuses = client.plugins()
    if as_json:
        emit([status.to_dict() for status in statuses])
    else:
        rows = [(s.name, s.kind, s.state, s.distribution, s.version, s.contract, s.reason, s.hint) for s in statuses]
        head = ("NAME", "KIND", "STATE", "DISTRIBUTION", "VERSION", "CONTRACT", "REASON", "NEXT STEP")
        table(head, rows, "no plugins are installed; each is a distribution of its own, by convention named lepton-PROVIDER")
    if strict and any(str(s.state) in {"broken", "incompatible", "conflict"} for s in statuses):
        click.get_current_context().exit(78)


@click.command("config")
@json_option
def config_command(as_json: bool) -> None:
    """Show the settings in force and the source of each; secrets are dots."""
    with Client() as client:
        settings = client.settings()
    if as_json:
        emit(settings)
        return
    click.echo(f"file: {settings['file']}")
    rows = [(name, value["value"], value["origin"]) for name, value in settings["settings"].items()]  # type: ignore[attr-defined]
    table(("SETTING", "VALUE", "FROM"), rows, "")


@click.command("doctor")
@click.argument("provider", required=False)
@json_option
def doctor_command(provider: str | None, as_json: bool) -> None:
    """Check this host and each usable provider (or PROVIDER alone), free of charge."""
    with Client() as client:
        lines = client.diagnose(provider)
    if as_json:
        emit([{"subject": x.subject, "ok": x.ok, "detail": x.detail, "next": x.hint} for x in lines])
    else:
        marks = {True: "ok", False: "FAIL", None: "-"}
        table(("WHAT", "HOLDS", "SEEN", "NEXT STEP"), [(x.subject, marks[x.ok], x.detail, x.hint) for x in lines], "")
    if any(line.ok is False for line in lines):
        click.get_current_context().exit(1)


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL: eval "$(lepton completion bash)"."""
    from click.shell_completion import get_completion_class

    from lepton_sdk.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "lepton", "_LEPTON_COMPLETE").source())
