"""``lepton lambda double``: the whole path with no account."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lepton_lambda.double.control import ControlServer
    from lepton_lambda.double.server import ApiServer

__all__ = ["command"]

_HOST = "127.0.0.1"
_VARIABLE = "LEPTON_SDK_PROVIDERS_LAMBDA"


def command() -> click.Command:
    """The factory that the spec names."""
    return _group


@click.group("lambda")
def _group() -> None:
    """Try Lambda Cloud without an account."""


def _options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--port", type=int, default=4010, help="Where the API listens; 0 for a free port."),
            click.option("--control-port", type=int, default=0, help="Where it is steered; 0 for a free port."),
            click.option("--key", default="double-key", help="The API key that is let in."),
            click.option("--pace", type=float, default=1.0, help="Seconds between two requests; 0 for no limit."),
            click.option("--launch-pace", type=float, default=12.0, help="Seconds between two launches; 0 for no limit."),
            click.option("--boot", type=float, default=2.0, help="Seconds until a machine is active."),
            click.option("--end", type=float, default=1.0, help="Seconds until a terminated machine is gone."),
            click.option("--sshd", default="", help="Path of an sshd that runs for each machine, at an address of its own."),
            click.option("--machine", default="", help="Instead of sshd: a command that starts a machine; see the README."),
            click.option("--ssh-port", type=int, default=2222, help="Where each machine's sshd listens."),
            click.option("--json", "as_json", is_flag=True, help="Say where it listens as one line of JSON."),
            click.argument("command", nargs=-1, type=click.UNPROCESSED),
        )
    ):
        function = option(function)
    return function


@_group.command("double")
@_options
def _double(as_json: bool, command: tuple[str, ...], **options: Any) -> None:
    """Serve a double of Lambda Cloud until Ctrl-C: state, time, stock, bills, and with --sshd machines that are this host.

    With COMMAND (after --) it runs that, with the variables that lead there, and ends with it. What is done under it has a
    journal, a cache and a configuration folder of its own: those of the user stay as they are.
    """
    from lepton_sdk.testing import kept_apart

    if command:
        options["port"] = 0
    api, control = _servers(options)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    try:
        with kept_apart() as place:
            environment = _environment(api, options)
            if command:
                _around(command, api, options, environment | place)
            else:
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: threading.Thread(target=api.shutdown).start())
                _say(environment, place, control, as_json=as_json)
                api.serve_forever(poll_interval=0.05)
    finally:
        api.cloud.machines.stop_all()


def _around(command: tuple[str, ...], api: ApiServer, options: dict[str, Any], environment: dict[str, str]) -> None:
    threading.Thread(target=api.serve_forever, daemon=True).start()
    if not (options["sshd"] or options["machine"]):
        click.echo("machines of this double answer nobody, so no job can run; next: --sshd /usr/sbin/sshd", err=True)
    # Ours goes before a key in the user's configuration, which leads elsewhere.
    whole = os.environ | environment | {f"{_VARIABLE}_API_KEY": options["key"]}
    code = subprocess.call(command, env=whole)  # noqa: S603 - the user's own command
    click.get_current_context().exit(code)


def _servers(options: dict[str, Any]) -> tuple[ApiServer, ControlServer]:
    from lepton_lambda.double.cloud import Cloud, Settings
    from lepton_lambda.double.control import ControlServer
    from lepton_lambda.double.server import ApiServer
    from lepton_sdk.testing import SSHMachines

    def found() -> Cloud:
        settings = Settings(options["pace"], options["launch_pace"], options["boot"], options["end"])
        cloud = Cloud(SSHMachines(options["sshd"], options["machine"], options["ssh_port"]), settings)
        cloud.add_key(options["key"])
        return cloud

    api = ApiServer((_HOST, options["port"]), found)
    return api, ControlServer((_HOST, options["control_port"]), api)


def _environment(api: ApiServer, options: dict[str, Any]) -> dict[str, str]:
    return {
        "LAMBDA_API_KEY": options["key"],
        f"{_VARIABLE}_BASE_URL": f"http://{_HOST}:{api.server_port}/api/v1",
        f"{_VARIABLE}_SSH_PORT": str(options["ssh_port"]),
        f"{_VARIABLE}_SSH_USER": getpass.getuser(),
    }


def _say(environment: dict[str, str], place: dict[str, str], control: ControlServer, *, as_json: bool) -> None:
    steered = f"http://{_HOST}:{control.server_port}"
    if as_json:
        click.echo(json.dumps({"environment": environment, "place": place, "control": steered}))
        return
    click.echo(f"A double of Lambda Cloud; it is steered at {steered}. In another terminal (its journal is its own):")
    for name, value in (environment | place).items():
        click.echo(f"  export {name}={value}")
    click.echo("  lepton run --provider lambda --gpu A10:1 -- nvidia-smi")
