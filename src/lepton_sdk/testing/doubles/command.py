"""``lepton NAME double``: runs a double as a program, alone or around another command."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any

import click
from attrs import Factory, frozen

from lepton_sdk.testing.doubles.double import Double
from lepton_sdk.testing.doubles.process import setting_variable
from lepton_sdk.testing.doubles.server import DoubleServer
from lepton_sdk.testing.isolation import isolated_environment
from lepton_sdk.testing.machines import SSHMachines

__all__ = ["DoubleCommand"]


@frozen
class DoubleCommand:
    """Turns a double into a program; `group` is the click command for an entry point's `CommandSpec`.

    Every double has the options ``--port``, ``--control-port``, ``--boot``, ``--sshd``, ``--machine``, ``--ssh-port``,
    ``--json`` and ``COMMAND``.

    Args:
        provider: the provider's name, which is the word after ``lepton``.
        title: the vendor's name for people.
        make: creates the double from its machines and the values of the options, by name.
        credentials: the same values → the provider's credentials: name → (the vendor's own variable, value).
        example: a command line to try it with.
        options: more options of this double.
        port, ssh_port: the default ports of the double and of its machines.
        watchdog: whether the provider gives its machines a watchdog. On a host where machines cannot run it, the double
            switches it off, because core would release a machine without one.

    ```python
    def make(machines, *, boot, **options):
        return Closet(machines, settings=Settings(boot=boot))

    command = DoubleCommand("closet", "Closet Cloud", make).group
    COMMAND = CommandSpec("closet", help="…", factory="closet_double:command")
    ```
    """

    provider: str
    title: str
    make: Callable[..., Double]
    credentials: Callable[..., Mapping[str, tuple[str, str]]] = lambda **options: {}
    example: str = ""
    options: tuple[click.Option, ...] = Factory(tuple)
    port: int = 0
    ssh_port: int = 2222
    watchdog: bool = False

    def group(self) -> click.Group:
        """The command ``lepton NAME`` with its subcommand ``double``."""
        command = click.Command("double", callback=self._run, help=self._help(), params=[*self._options(), *self.options])
        command.params.append(click.Argument(["command"], nargs=-1, type=click.UNPROCESSED))
        return click.Group(self.provider, commands=[command], help=f"Try {self.title} without an account.")

    def _help(self) -> str:
        return f"""Serve a double of {self.title} until Ctrl-C: state, time, stock and a bill; with --sshd also machines.

        With COMMAND (after --) it runs that, with the variables that lead there, and ends with it. What is done under it has a
        journal, a cache and a configuration folder of its own: those of the user stay as they are.
        """

    def _options(self) -> list[click.Parameter]:
        def option(name: str, default: Any, words: str, **more: Any) -> click.Option:
            return click.Option([name], default=default, show_default=default not in ("", 0), help=words, **more)

        return [
            option("--port", self.port, "Where the API listens; 0 for a free port."),
            option("--control-port", 0, "Where it is steered and the bill is read; 0 for a free port."),
            option("--boot", 2.0, "Seconds until a machine is ready."),
            option("--sshd", "", "Path of an sshd that runs for each machine, at an address of its own."),
            option("--machine", "", "Instead of sshd: a command that plays a machine and stays in the foreground; see the docs."),
            option("--ssh-port", self.ssh_port, "Where each machine's sshd listens; 0 for a free port."),
            click.Option(["--json", "as_json"], is_flag=True, help="Say where it listens as one line of JSON."),
        ]

    def _run(self, *, as_json: bool, command: tuple[str, ...], **options: Any) -> None:
        machines = SSHMachines(options["sshd"], options["machine"], options["ssh_port"] or _free_port())
        server = self._served(machines, options, port=0 if command else options["port"])
        try:
            variables = self._variables(server, machines, options)
            ours = self._before_the_users(options)
            with isolated_environment() as place:
                if not (as_json or options["sshd"] or options["machine"]):
                    click.echo("machines of this double answer nobody, so no job can run; next: --sshd /usr/sbin/sshd", err=True)
                if command:
                    click.get_current_context().exit(_call(command, variables | ours | place))
                told = _when_told()
                if as_json:
                    click.echo(json.dumps({"environment": variables, "place": place, "control": server.control_url}))
                else:
                    self._say(variables | ours | place, server.control_url)
                told.wait()
        finally:
            server.close()

    def _served(self, machines: SSHMachines, options: Mapping[str, Any], port: int) -> DoubleServer:
        try:
            server = DoubleServer(lambda: self.make(machines, **options), port, options["control_port"])
        except OSError as error:
            taken = " or ".join(str(number) for number in (port, options["control_port"]) if number)
            raise click.UsageError(f"port {taken}: {error.strerror}; next: 0 takes a free one") from None
        server.start()
        return server

    def _variables(self, server: DoubleServer, machines: SSHMachines, options: Mapping[str, Any]) -> dict[str, str]:
        """The variables that point the installed plugin to the double."""
        variables = dict(self.credentials(**options).values())
        variables |= {
            self._variable("base_url"): server.url,
            self._variable("ssh_port"): str(machines.port),
            self._variable("ssh_user"): getpass.getuser(),
        }
        if self.watchdog and not machines.run_scripts:
            variables[self._variable("watchdog")] = "false"
        return variables

    def _before_the_users(self, options: Mapping[str, Any]) -> dict[str, str]:
        """The double's credentials, in variables that win over a key in the user's configuration, which is for the real cloud."""
        return {self._variable(name): value for name, (_, value) in self.credentials(**options).items()}

    def _variable(self, setting: str) -> str:
        return setting_variable(self.provider, setting)

    def _say(self, variables: Mapping[str, str], control: str) -> None:
        click.echo(f"A double of {self.title}; it is steered at {control}. In another terminal (its journal is its own):")
        for name, value in variables.items():
            click.echo(f"  export {name}={shlex.quote(value)}")
        if self.example:
            click.echo(f"  {self.example}")


def _call(command: tuple[str, ...], variables: Mapping[str, str]) -> int:
    try:
        return subprocess.call(command, env={**os.environ, **variables})  # noqa: S603 - the user's own command
    except OSError as error:
        raise click.UsageError(f"{command[0]} cannot be run: {error.strerror}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _when_told() -> threading.Event:
    """Set by Ctrl-C and by ``kill``, also right after the double has printed its address."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    return told
