"""Opening a connection: the user's OpenSSH settings, our check of the host's key, and errors that say what helps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lepton_sdk._executors.transports.ssh.hostkeys import HostKeys
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ConfigError, LeptonError, NodeError, NodeUnreachable

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Connection", "connect", "title"]

_CONNECT_SECONDS = 20
_ALIVE_SECONDS, _ALIVE_MISSED = 5, 3
# Two thirds of sshd's default MaxSessions, so that the user's own tools find room on a shared connection as well.
MOST_CHANNELS = 7


# A channel that we close takes memory until the other side closes it as well, and a bad one never does.
_MOST_LEFT = 64


class Connection:
    """One connection, how many channels are open on it, and how many we have left before the other side ended them."""

    def __init__(self, ssh: asyncssh.SSHClientConnection) -> None:
        self.ssh = ssh
        self.channels = self.left = 0
        self.most = MOST_CHANNELS

    @property
    def room(self) -> bool:
        """Whether one more channel may be opened."""
        return not self.ssh.is_closed() and self.channels < self.most and self.left < _MOST_LEFT

    @property
    def spent(self) -> bool:
        """Whether it takes no more channels and has none."""
        return self.left >= _MOST_LEFT and not self.channels


def title(access: SSHAccess) -> str:
    """The node's name for people."""
    user = f"{access.user}@" if access.user else ""
    return f"{user}{access.host}" if access.port in (0, 22) else f"{user}{access.host}:{access.port}"


async def connect(access: SSHAccess, keys: HostKeys, through: Connection | None, machine: str = "") -> Connection:
    """Connect to a host.

    An empty user or a port of 0 leaves the choice to the user's SSH settings.

    Args:
        machine: under which name a rented machine's host key is known.

    Raises:
        NodeUnreachable: nobody answers there.
        NodeError: the host is not the one that is known, or does not let us in.
        ConfigError: the user's SSH settings cannot be read.
    """
    import asyncssh

    where = _where(access)
    try:
        settings = await asyncssh.SSHClientConnectionOptions.construct(None, config=(), **where)
    except (asyncssh.ConfigParseError, asyncssh.KeyImportError, OSError, ValueError) as error:
        raise ConfigError(
            f"the SSH settings for {title(access)} cannot be used: {error}", hint="look into ~/.ssh/config"
        ) from error
    files = [str(path) for path in _listed(settings.known_hosts)] or ["~/.ssh/known_hosts"]
    check = keys.check(access.host_keys, files, machine)
    more: dict[str, Any] = {"tunnel": through.ssh} if through else {}
    try:
        return Connection(
            await asyncssh.connect(
                **where,
                **more,
                known_hosts=check.trusted,
                client_factory=check.client(),
                connect_timeout=_CONNECT_SECONDS,
                login_timeout=_CONNECT_SECONDS,
                keepalive_interval=_ALIVE_SECONDS,
                keepalive_count_max=_ALIVE_MISSED,
                compression_algs=None,
            )
        )
    except asyncssh.HostKeyNotVerifiable as error:
        text = check.refused or f"the host key of {title(access)} cannot be verified: {one_line(error.reason)}"
        raise NodeError(text, hint=check.hint or "compare the host's key with your known_hosts") from error
    except asyncssh.PermissionDenied as error:
        raise _denied(access, settings) from error
    except LeptonError:
        raise
    except Exception as error:
        # What the other side says is read by a library, which may stumble over it in any way.
        text = one_line(str(error)) or "no answer in time"
        raise NodeUnreachable(
            f"{title(access)} cannot be reached: {text}", hint="is the host up, and its SSH port open to us?"
        ) from error


def _where(access: SSHAccess) -> dict[str, Any]:
    where: dict[str, Any] = {"host": access.host} | ({"port": access.port} if access.port else {})
    if access.user:
        where["username"] = access.user
    if access.identity:
        # The provider registered this key; the user's own would only be refused, and some hosts count refusals.
        where |= {"client_keys": [access.identity], "agent_path": None}
    return where


def _listed(known_hosts: object) -> list[object]:
    # ``None`` would switch the check off ("UserKnownHostsFile none"); host keys are always checked here.
    return list(known_hosts) if isinstance(known_hosts, list | tuple) else []


def _denied(access: SSHAccess, settings: asyncssh.SSHClientConnectionOptions) -> NodeError:
    tried = [str(name) for key in settings.client_keys or () if (name := _name_of(key))]
    if os.environ.get("SSH_AUTH_SOCK"):
        tried.append("the agent's")
    user = settings.username
    return NodeError(
        f"{title(access)} refused the user {user!r}; keys tried: {', '.join(tried) or 'none'}",
        hint=f"is {user!r} the right user there, and is the public key in its authorized_keys?",
    )


def _name_of(key: object) -> str:
    comment = getattr(key, "get_comment", None)
    file = getattr(key, "_filename", None)
    text = file or (comment() if callable(comment) else "")
    return os.fsdecode(text) if text else str(getattr(key, "get_algorithm", lambda: "")())
