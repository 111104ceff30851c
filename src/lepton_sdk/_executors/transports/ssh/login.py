"""The user's own ssh on a machine: the same address, keys and host keys that the executor uses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote

from attrs import frozen

from lepton_sdk._executors.container import entered
from lepton_sdk._executors.places import BASE, RUNS, place_of
from lepton_sdk._executors.transports.ssh.hostkeys import HostKeys, machine_of
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import UsageError
from lepton_sdk.spi.executor import Execution

__all__ = ["Login"]


@frozen
class Login:
    """How the user's own ssh reaches one node.

    Args:
        runs_dir: where files of runs lie on this host.
        own: see `lepton_sdk.spi.ExecutorContext`.
    """

    node: Node
    execution: Execution
    runs_dir: Path
    own: Callable[[str], bool]

    def shell(self, command: str | None, *, outside: bool) -> Sequence[str]:
        """The arguments that open a shell in the run's folder there, or in its container, or run a command line there."""
        execution = self.execution
        place = f"{BASE}/{RUNS}/{place_of(execution.run_id, execution.attempt, execution.rank)}/work"
        bare = outside or execution.job.image is None
        inside = command or "exec ${SHELL:-/bin/sh} -l" if bare else entered(execution, command)
        # As the executor does it: a login may begin somewhere else than in the home that the environment names.
        script = f'cd "$HOME"/{quote(place)} 2>/dev/null; {inside}'
        terminal = [] if command else ["-t"]
        # The user's shell there, whichever it is, reads one word: a script for sh.
        return ["ssh", *self._options(), *terminal, self._host(), f"exec /bin/sh -c {quote(script)}"]

    def forward(self, here: int, there: int) -> Sequence[str]:
        """The arguments that bring a port of the node to this host's loopback for as long as they run."""
        way = ["-L", f"127.0.0.1:{here}:127.0.0.1:{there}"]
        return ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *way, *self._options(), self._host()]

    def config(self, name: str) -> str:
        """A block for ``~/.ssh/config``."""
        access = self._access
        own = [*self._settings()]
        own += [("User", access.user)] if access.user else []
        own += [("Port", str(access.port))] if access.port else []
        said = {word.lower() for word, _ in own}
        host, theirs = _inherited(self._host(), name)
        settings = [("HostName", host), *((word, value) for word, value in theirs if word not in said), *own]
        return "\n".join([f"Host {name}", *(f"  {word} {value}" for word, value in settings)]) + "\n"

    @property
    def _access(self) -> SSHAccess:
        assert isinstance(self.node.access, SSHAccess)
        return self.node.access

    def _host(self) -> str:
        host = self._access.host
        # ssh would take it for an option.
        if host.startswith("-"):
            raise UsageError(f"{host!r} is no host name")
        return host

    def _options(self) -> list[str]:
        access = self._access
        words = [word for name, value in self._settings() for word in ("-o", f"{name}={value}")]
        words += ["-l", access.user] if access.user else []
        return words + (["-p", str(access.port)] if access.port else [])

    def _settings(self) -> list[tuple[str, str]]:
        access = self._access
        found = [("ProxyJump", access.proxy_jump)] if access.proxy_jump else []
        if access.identity:
            found += [("IdentityFile", f'"{access.identity}"'), ("IdentitiesOnly", "yes")]
        if access.host_keys:
            found += [("UserKnownHostsFile", f'"{self._vouched()}"'), ("StrictHostKeyChecking", "yes")]
            return [*found, ("HostKeyAlias", self._alias)]
        keys = HostKeys(self.runs_dir.parent / "known_hosts")
        if machine := machine_of(self.node, self.own):
            pinned = keys.of(machine)
            # The executor has been there, so the key is known; where it has not, ssh may be the first.
            check = "yes" if pinned.exists() else "accept-new"
            pinned.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return [*found, ("UserKnownHostsFile", f'"{pinned}"'), ("StrictHostKeyChecking", check), ("HostKeyAlias", machine)]
        places = f'"{Path.home() / ".ssh/known_hosts"}" "{keys.path}"'
        return [*found, ("UserKnownHostsFile", places), ("StrictHostKeyChecking", "yes")]

    @property
    def _alias(self) -> str:
        return self.node.token or self.node.id

    def _vouched(self) -> Path:
        """The host keys that the provider vouches for, as a file that ssh reads."""
        execution = self.execution
        path = self.runs_dir / place_of(execution.run_id, execution.attempt, execution.rank) / "known_hosts"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{self._alias} {key}\n" for key in self._access.host_keys)
        return path


def _inherited(host: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """The real name of a host that the user's SSH settings have under another one, and what else they say of it there.

    A block of its own inherits nothing from the host that it names, so what ssh would take from there is written out.
    """
    there, plain = _resolved(host), _resolved(name)
    theirs = [pair for pair in there if pair not in plain and pair[0] not in ("host", "originalhost", "hostname")]
    return dict(there).get("hostname", host), theirs


def _resolved(host: str) -> list[tuple[str, str]]:
    """What ssh itself makes of a name with the user's settings; nothing where there is no ssh."""
    try:
        done = subprocess.run(["ssh", "-G", host], capture_output=True, text=True, check=False)  # noqa: S603, S607 - the user's own
    except OSError:
        return []
    return [(word, value) for word, _, value in (line.partition(" ") for line in done.stdout.splitlines()) if value]
