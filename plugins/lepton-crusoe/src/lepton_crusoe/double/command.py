"""``lepton crusoe double``: the double as a program."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
import time

import click

__all__ = ["command"]


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
@click.option(
    "--sshd",
    default="",
    help="Command that plays each machine, with {address}, {port}, {folder} and {authorized_keys}; stays in the foreground.",
)
@click.option("--ssh-port", default=2201, show_default=True, help="Where that command listens.")
def _double(
    port: int,
    control_port: int,
    project: str,
    access_key_id: str,
    secret_key: str,
    boot: float,
    ending: float,
    sshd: str,
    ssh_port: int,
) -> None:
    """A stand-in for Crusoe Cloud on this host: it keeps a bill and rents out nothing."""
    from lepton_crusoe.double.cloud import Cloud, Rules
    from lepton_crusoe.double.hosts import Hosts
    from lepton_crusoe.double.server import Double, serve

    secret = secret_key or secrets.token_urlsafe(24)
    hosts = Hosts(sshd, ssh_port)
    double = Double(Cloud(Rules(project, boot, ending), hosts, time.time), {access_key_id: secret})
    api, control = serve(double, port, control_port)
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (api, control)]
    for thread in threads:
        thread.start()
    _say(api.server_address[1], control.server_address[1], access_key_id, secret, project, ssh_port if sshd else 22)
    _until_told()
    hosts.stop_all()


def _say(port: int, control: int, access_key_id: str, secret: str, project: str, ssh_port: int) -> None:
    lines = [
        f"export LEPTON_SDK_PROVIDERS_CRUSOE_BASE_URL=http://127.0.0.1:{port}/v1",
        f"export CRUSOE_ACCESS_KEY_ID={access_key_id}",
        f"export CRUSOE_SECRET_KEY={secret}",
        f"export CRUSOE_PROJECT_ID={project}",
        f"export LEPTON_SDK_PROVIDERS_CRUSOE_SSH_PORT={ssh_port}",
        f"# control: http://127.0.0.1:{control}",
    ]
    click.echo("\n".join(lines))
    sys.stdout.flush()


def _until_told() -> None:
    told = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: told.set())
    told.wait()
