"""``lepton crusoe double``: the double as a program."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time

import click

__all__ = ["command"]

_VARIABLE = "LEPTON_SDK_PROVIDERS_CRUSOE"


def command() -> click.Command:
    """The command that the spec names."""
    return click.Group("crusoe", commands=[_double], help="Try Crusoe Cloud without an account.")


@click.command("double")
@click.option("--port", default=8911, show_default=True, help="Where the API listens; 0 for any free port.")
@click.option("--control-port", default=0, help="Where faults are set and the bill is read; 0 for any free port.")
@click.option("--project", default="00000000-0000-4000-8000-000000000001", show_default=True, help="Id of its one project.")
@click.option("--access-key-id", default="double", show_default=True, help="The key's public half.")
@click.option("--secret-key", default="", help="Its secret half; made up when not given.")
@click.option("--boot", default=2.0, show_default=True, help="Seconds until a machine runs.")
@click.option("--ending", default=1.0, show_default=True, help="Seconds until a machine is gone.")
@click.option("--sshd", default="", help="Path of an sshd that runs for each machine, at an address of its own.")
@click.option(
    "--machine",
    default="",
    help="Instead of sshd: a command that plays a machine and stays in the foreground; see the README.",
)
@click.option("--ssh-port", default=2201, show_default=True, help="Where each machine's sshd listens.")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one line of JSON.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def _double(
    port: int,
    control_port: int,
    project: str,
    access_key_id: str,
    secret_key: str,
    boot: float,
    ending: float,
    sshd: str,
    machine: str,
    ssh_port: int,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """A stand-in for Crusoe Cloud on this host: it keeps a bill and rents out nothing.

    With COMMAND (after --) it runs that, with the variables that lead there, and ends with it. What is done under it has a
    journal, a cache and a configuration folder of its own: those of the user stay as they are.
    """
    from lepton_crusoe.double.cloud import Cloud
    from lepton_crusoe.double.server import Double, serve
    from lepton_crusoe.double.things import Rules
    from lepton_sdk.testing import SSHMachines, kept_apart

    # HMAC fills a key up with zeros: one that ended in a zero would be the same key without its end.
    secret = secret_key or secrets.token_urlsafe(23)[:-1] + "gE"
    hosts = SSHMachines(sshd, machine, ssh_port)
    double = Double(Cloud(Rules(project, boot, ending), hosts, time.time), {access_key_id: secret})
    api, control = serve(double, 0 if command else port, control_port)
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (api, control)]
    for thread in threads:
        thread.start()
    variables = _variables(api.server_address[1], access_key_id, secret, project, ssh_port if sshd or machine else 22)
    if not hosts.run_scripts:
        # Machines without a watchdog would be given back as soon as they boot.
        variables[f"{_VARIABLE}_WATCHDOG"] = "false"
    try:
        with kept_apart() as place:
            if command:
                click.get_current_context().exit(_around(command, variables | place, answers=bool(sshd or machine)))
            _say(variables, place, f"http://127.0.0.1:{control.server_address[1]}", as_json=as_json)
            _until_told()
    finally:
        hosts.stop_all()


def _around(command: tuple[str, ...], variables: dict[str, str], *, answers: bool) -> int:
    if not answers:
        click.echo("machines of this double answer nobody, so no job can run; next: --sshd /usr/sbin/sshd", err=True)
    # Ours go before a key in the user's configuration, which leads elsewhere.
    key = {
        f"{_VARIABLE}_{name.removeprefix('CRUSOE_')}": value for name, value in variables.items() if name.startswith("CRUSOE_")
    }
    return subprocess.call(command, env=os.environ | variables | key)  # noqa: S603 - the user's own command


def _variables(port: int, access_key_id: str, secret: str, project: str, ssh_port: int) -> dict[str, str]:
    return {
        f"{_VARIABLE}_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "CRUSOE_ACCESS_KEY_ID": access_key_id,
        "CRUSOE_SECRET_KEY": secret,
        "CRUSOE_PROJECT_ID": project,
        f"{_VARIABLE}_SSH_PORT": str(ssh_port),
        f"{_VARIABLE}_SSH_USER": getpass.getuser(),
    }


def _say(variables: dict[str, str], place: dict[str, str], control: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"environment": variables, "place": place, "control": control}))
    else:
        click.echo(f"A double of Crusoe Cloud; it is steered at {control}. In another terminal (its journal is its own):")
        for name, value in (variables | place).items():
            click.echo(f"  export {name}={value}")
        click.echo("  lepton run --provider crusoe --gpu L40S:1 -- nvidia-smi")
    sys.stdout.flush()


def _until_told() -> None:
    told = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: told.set())
    told.wait()
