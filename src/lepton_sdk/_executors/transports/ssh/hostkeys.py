"""Whose host key is believed: the provider's word, else known_hosts, else the first one seen, which is pinned.

The pin of a host of the user's own belongs to its address, that of a rented machine to the machine: a cloud gives an address
that comes back to the next one, and another machine may then have another key.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import ConfigError, ContractViolation

if TYPE_CHECKING:
    import asyncssh

__all__ = ["HostKeys", "KeyCheck", "machine_of"]

_GLOBAL = "/etc/ssh/ssh_known_hosts"
_KINDS = 7
# Of what known_hosts says of a name: keys, certificates and subjects that are revoked.
_REVOKED = (2, 4, 6)
_NO_NAME = re.compile(r"[^A-Za-z0-9-]+")


def machine_of(node: Node, own: Callable[[str], bool]) -> str:
    """The name under which a rented machine's host key is known; ``""`` for a host that is known by its address.

    Args:
        own: whether the machines of a provider are the user's own, where the node does not say.
    """
    if not isinstance(node.access, SSHAccess) or node.token is None:
        return ""
    # A machine that costs something is rented, whatever its provider's listing asks.
    free = node.price is None or not node.price.amount
    if (free and own(node.provider)) if node.access.own is None else node.access.own:
        return ""
    digest = sha256("\0".join((node.provider, node.id, node.token)).encode(errors="surrogatepass")).hexdigest()
    return f"{_NO_NAME.sub('-', node.token)[:60]}.{digest[:16]}"


class HostKeys:
    """The host keys that we know, and the file in which those of a first use are pinned.

    Args:
        path: the file of pins that belong to an address, in known_hosts form; made on demand, for its owner only. Those of
            rented machines lie in a folder beside it, one file each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, machine: str) -> Path:
        """The file with the key of a rented machine; it goes with the machine."""
        return self.path.with_name(f"{self.path.name}.d") / machine

    def check(self, vouched: Sequence[str], files: Sequence[str], machine: str = "") -> KeyCheck:
        """The check of one connection.

        Args:
            vouched: public keys that the provider vouches for; then no others are believed.
            files: the user's own known_hosts files.
            machine: the name of a rented machine; the user's files then only tell what is revoked.
        """
        import asyncssh

        if vouched:
            try:
                return KeyCheck(self, [asyncssh.import_public_key(key) for key in vouched], None)
            except (asyncssh.KeyImportError, ValueError) as error:
                raise ContractViolation(f"a host key that the provider vouches for cannot be read: {error}") from error
        paths = [Path(path).expanduser() for path in (*files, _GLOBAL)]
        text = "\n".join(_read(path) for path in (*paths, self.of(machine) if machine else self.path))
        try:
            return KeyCheck(self, None, asyncssh.import_known_hosts(text), machine)
        except ValueError as error:
            files_text = ", ".join(map(str, paths))
            raise ConfigError(f"a file of known host keys cannot be used: {error}", hint=f"look into {files_text}") from error

    def pin(self, name: str, key: asyncssh.SSHKey, machine: str = "") -> bool:
        """Keep a key for good, or for as long as the machine is ours, and say so; false if another one came before."""
        line = f"{machine or name} {key.export_public_key('openssh').decode().strip()}\n"
        path = self.of(machine) if machine else self.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if machine and not _keys_of(_read(path)):
            # A power cut may have left it empty.
            path.unlink(missing_ok=True)
        if machine and not _write_first(path, line):
            return _keys_of(_read(path)) == _keys_of(line)
        if not machine:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)
        notice = f"first connection to {name}: its host key {key.get_fingerprint()} is pinned in {path}"
        logging.getLogger("lepton_sdk").warning("%s", notice)
        return True

    def forget(self, machine: str) -> None:
        """The machine was given back: its key says nothing any more."""
        with suppress(OSError):
            self.of(machine).unlink(missing_ok=True)


class KeyCheck:
    """The check of one connection; ``refused`` says afterwards why a key was not believed, and ``hint`` what helps."""

    def __init__(
        self,
        book: HostKeys,
        vouched: list[asyncssh.SSHKey] | None,
        known: asyncssh.SSHKnownHosts | None,
        machine: str = "",
    ) -> None:
        self._book = book
        self._machine = machine
        self._vouched = vouched
        self._known = known
        self.refused = ""
        self.hint = ""

    def trusted(self, host: str, addr: str, port: int | None) -> tuple[list[object], ...]:
        """Keys, authorities, revoked keys and so on for a host, as asyncssh wants them."""
        if self._known is None:
            return (list(self._vouched or ()), *([] for _ in range(_KINDS - 1)))
        # Asked name by name: asyncssh itself would fall back from a port of its own to the host's port 22.
        found = [self._known.match(name, "", None) for name in _names(host, addr, port)]
        kinds: list[list[object]] = [[key for result in found for key in result[kind]] for kind in range(_KINDS)]
        if self._machine:
            # Who had this address before says nothing.
            kinds = [kind if number in _REVOKED else [] for number, kind in enumerate(kinds)]
            kinds[0] = list(self._known.match(self._machine, "", None)[0])
        return tuple(kinds)

    def unknown(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Decide on a key that is not among the trusted ones."""
        names = _names(host, addr, port)
        seen = key.get_fingerprint()
        if self._vouched is not None:
            self.refused = f"{names[0]} shows the host key {seen}, which its provider does not vouch for"
            self.hint = "something else answers at this address; do not send anything to it, and take another machine"
            return False
        trusted = self.trusted(host, addr, port)
        known = trusted[0] if self._machine else any(trusted)
        if known or not self._book.pin(names[0], key, self._machine):
            self.refused = f"the host key of {names[0]} has changed: it shows {seen}, which is not the one that is known"
            self.hint = self._advice()
            return False
        return True

    def _advice(self) -> str:
        if self._machine:
            return "somebody stands in between, or the machine was set up anew; give it back with lepton stop"
        places = f"{self._book.path} or your known_hosts"
        return f"if the machine was set up anew, remove its line from {places}; if not, somebody stands in between"

    def client(self) -> Callable[[], asyncssh.SSHClient]:
        """What asyncssh calls back during the handshake."""
        import asyncssh

        check = self

        class Client(asyncssh.SSHClient):
            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                return check.unknown(host, addr, port, key)

        return Client


def _names(host: str, addr: str, port: int | None) -> list[str]:
    """Under which names known_hosts may know a host: its name, then its address, with a port that is not 22."""
    names = [host, addr] if addr and addr != host else [host]
    return [name if port in (None, 22) else f"[{name}]:{port}" for name in names]


def _keys_of(text: str) -> list[list[str]]:
    return [line.split()[1:3] for line in text.splitlines()]


def _write_first(path: Path, text: str) -> bool:
    """Write a file whole that must not be there yet; false if it is."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, text.encode())
        os.link(fresh, path)
    except FileExistsError:
        return False
    finally:
        os.close(fd)
        fresh.unlink(missing_ok=True)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
