"""Whose host key is believed: the provider's word, else known_hosts, else the first one seen, which is pinned."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_sdk.errors import ContractViolation

if TYPE_CHECKING:
    import asyncssh

__all__ = ["HostKeys", "KeyCheck"]

_GLOBAL = "/etc/ssh/ssh_known_hosts"
_KINDS = 7


class HostKeys:
    """The host keys that we know, and the file in which those of a first use are pinned.

    Args:
        path: the file of pins, in known_hosts form; made on demand, for its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []

    def check(self, vouched: Sequence[str], files: Sequence[str]) -> KeyCheck:
        """The check of one connection.

        Args:
            vouched: public keys that the provider vouches for; then no others are believed.
            files: the user's own known_hosts files.
        """
        import asyncssh

        if vouched:
            try:
                return KeyCheck(self, [asyncssh.import_public_key(key) for key in vouched], None)
            except (asyncssh.KeyImportError, ValueError) as error:
                raise ContractViolation(f"a host key that the provider vouches for cannot be read: {error}") from error
        paths = [Path(path).expanduser() for path in (*files, _GLOBAL)]
        text = "\n".join(_read(path) for path in (*paths, self.path))
        return KeyCheck(self, None, asyncssh.import_known_hosts(text))

    def pin(self, name: str, key: asyncssh.SSHKey) -> None:
        """Keep a key for good, and say so."""
        line = f"{name} {key.export_public_key('openssh').decode().strip()}\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)
        notice = f"first connection to {name}: its host key {key.get_fingerprint()} is pinned in {self.path}"
        self.notices.append(notice)
        logging.getLogger("lepton_sdk").warning("%s", notice)


class KeyCheck:
    """The check of one connection; ``refused`` says afterwards why a key was not believed, and ``hint`` what helps."""

    def __init__(self, book: HostKeys, vouched: list[asyncssh.SSHKey] | None, known: asyncssh.SSHKnownHosts | None) -> None:
        self._book = book
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
        return tuple([key for result in found for key in result[kind]] for kind in range(_KINDS))

    def unknown(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Decide on a key that is not among the trusted ones."""
        names = _names(host, addr, port)
        seen = key.get_fingerprint()
        if self._vouched is not None:
            self.refused = f"{names[0]} shows the host key {seen}, which its provider does not vouch for"
            self.hint = "something else answers at this address; do not send anything to it, and take another machine"
            return False
        if any(self.trusted(host, addr, port)):
            self.refused = f"the host key of {names[0]} has changed: it shows {seen}, which is not the one that is known"
            places = f"{self._book.path} or your known_hosts"
            self.hint = f"if the machine was set up anew, remove its line from {places}; if not, somebody stands in between"
            return False
        self._book.pin(names[0], key)
        return True

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


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
