"""The user's own ssh on a machine of a run: the same address, keys and host keys that the executor uses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shlex import quote

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk._executors.container import entered
from lepton_sdk._executors.transports.ssh.hostkeys import HostKeys, machine_of
from lepton_sdk.domain.access import LocalAccess, SSHAccess
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import NodeUnreachable, UsageError

__all__ = ["Reach", "node_called"]

_FOLDER = ".lepton/runs"


class Reach:
    """One node of a run, as somebody who sits before it reaches it.

    Args:
        outside: the machine itself, also where the run has a container there.

    Raises:
        UsageError: the run has no such node.
        NodeUnreachable: it is not there yet, or not any more.
    """

    def __init__(self, engine: Engine, run_id: str, node: int, *, outside: bool = False) -> None:
        self._engine = engine
        self._run = engine.journal.run(run_id)
        self._record = _reachable(self._run, node)
        self._outside = outside or self._run.job.image is None

    def shell(self, command: str | None = None) -> list[str]:
        """The program and arguments that open a shell in the run's folder, or run a shell's command line there; in the run's
        container where it has one."""
        record = self._record
        place = f"{record.run}/{record.attempt}-{record.rank}/work"
        if _is_here(record):
            folder = quote(str(self._engine.runs_dir / place))
            return ["/bin/sh", "-c", f"cd {folder} && {self._inner(command, 'exec ${SHELL:-/bin/sh}')}"]
        # As the executor does it: a login may begin somewhere else than in the home that the environment names.
        inner = f'cd "$HOME"/{quote(f"{_FOLDER}/{place}")} 2>/dev/null; {self._inner(command, "exec ${SHELL:-/bin/sh} -l")}'
        terminal = [] if command else ["-t"]
        # The user's shell there, whichever it is, reads one word: a script for sh.
        return ["ssh", *_options(self._engine, record), *terminal, _host(record), f"exec /bin/sh -c {quote(inner)}"]

    def _inner(self, command: str | None, shell: str) -> str:
        if self._outside:
            return command or shell
        return entered(execution_of(self._engine, self._run, self._record, {}), command)

    def forward(self, here: int, there: int) -> list[str]:
        """The program and arguments that bring a port of the node to this host's loopback for as long as they run.

        Raises:
            UsageError: the node is this host, where the port is already.
        """
        record = self._record
        if _is_here(record):
            raise UsageError(f"run {record.run} runs on this host", hint=f"its port is here already: http://127.0.0.1:{there}")
        way = ["-L", f"127.0.0.1:{here}:127.0.0.1:{there}"]
        return ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *way, *_options(self._engine, record), _host(record)]

    def config(self) -> str:
        """A block for ``~/.ssh/config``, for editors that connect by a host's name."""
        access, name = _ssh(self._record), f"{self._record.run}-{self._record.rank}"
        own = [*_settings(self._engine, self._record)]
        own += [("User", access.user)] if access.user else []
        own += [("Port", str(access.port))] if access.port else []
        said = {word.lower() for word, _ in own}
        host, theirs = _inherited(_host(self._record), name)
        settings = [("HostName", host), *((word, value) for word, value in theirs if word not in said), *own]
        return "\n".join([f"Host {name}", *(f"  {word} {value}" for word, value in settings)]) + "\n"


def _is_here(record: NodeRecord) -> bool:
    return record.node is not None and isinstance(record.node.access, LocalAccess)


def node_called(engine: Engine, name: str) -> tuple[str, int] | None:
    """The run and the rank of the open node with this id or token, as ``lepton nodes`` shows them."""
    for run in engine.journal.runs(open_only=True) if engine.has_journal() else ():
        for member in run.members:
            if member.open and member.node is not None and name in (member.node.id, member.token):
                return run.id, member.rank
    return None


def _reachable(run: Run, node: int) -> NodeRecord:
    record = next((member for member in run.members if member.rank == node), None)
    if record is None:
        raise UsageError(f"run {run.id} has no node {node}", hint=f"its nodes are 0 to {run.job.nodes - 1}")
    if record.node is None or record.node.access is None:
        raise NodeUnreachable(f"node {node} of run {run.id} cannot be reached: it is {record.stage}", hint="look with lepton ps")
    if not record.open and not isinstance(record.node.access, LocalAccess):
        raise NodeUnreachable(
            f"the machine of run {run.id} was given back", hint="lepton logs and lepton pull have what was kept"
        )
    return record


def _ssh(record: NodeRecord) -> SSHAccess:
    access = record.node.access if record.node else None
    if not isinstance(access, SSHAccess):
        raise UsageError(
            f"node {record.rank} of run {record.run} is not reached by SSH", hint="lepton ssh RUN opens a shell there"
        )
    return access


def _host(record: NodeRecord) -> str:
    host = _ssh(record).host
    # ssh would take it for an option.
    if host.startswith("-"):
        raise UsageError(f"{host!r} is no host name")
    return host


def _options(engine: Engine, record: NodeRecord) -> list[str]:
    access = _ssh(record)
    words = [word for name, value in _settings(engine, record) for word in ("-o", f"{name}={value}")]
    words += ["-l", access.user] if access.user else []
    return words + (["-p", str(access.port)] if access.port else [])


def _settings(engine: Engine, record: NodeRecord) -> list[tuple[str, str]]:
    access = _ssh(record)
    found = [("ProxyJump", access.proxy_jump)] if access.proxy_jump else []
    if access.identity:
        found += [("IdentityFile", f'"{access.identity}"'), ("IdentitiesOnly", "yes")]
    if access.host_keys:
        found += [("UserKnownHostsFile", f'"{_vouched(engine, record, access)}"'), ("StrictHostKeyChecking", "yes")]
        return [*found, ("HostKeyAlias", record.token)]
    keys = HostKeys(engine.runs_dir.parent / "known_hosts")
    if machine := machine_of(record.node, engine.has_own_hosts) if record.node else "":
        pinned = keys.of(machine)
        # The executor has been there, so the key is known; where it has not, ssh may be the first.
        check = "yes" if pinned.exists() else "accept-new"
        pinned.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [*found, ("UserKnownHostsFile", f'"{pinned}"'), ("StrictHostKeyChecking", check), ("HostKeyAlias", machine)]
    places = f'"{Path.home() / ".ssh/known_hosts"}" "{keys.path}"'
    return [*found, ("UserKnownHostsFile", places), ("StrictHostKeyChecking", "yes")]


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


def _vouched(engine: Engine, record: NodeRecord, access: SSHAccess) -> Path:
    """The host keys that the provider vouches for, as a file that ssh reads."""
    path = engine.runs_dir / record.run / f"{record.attempt}-{record.rank}" / "known_hosts"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{record.token} {key}\n" for key in access.host_keys)
    return path
