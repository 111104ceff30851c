"""The SSH key pair of one owner at one provider: created once and kept on this host, for vendors that take a public key."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from lepton_sdk.errors import BlockScope, ConfigError

__all__ = ["KeyPair"]


@frozen
class KeyPair:
    """An ed25519 key pair without a passphrase. The private key is a file with mode 0600.

    Args:
        provider: the name that errors carry.
        folder: where the pair lies; created on demand with mode 0700.
        owner: the journal that the pair belongs to; vendors know the pair by `name`.

    >>> pair = KeyPair("acme", Path("/nowhere"), "owner1")
    >>> pair.name, pair.identity
    ('lepton-owner1', None)
    >>> KeyPair.same("ssh-ed25519 AAAA a comment", "ssh-ed25519 AAAA")
    True
    """

    provider: str
    folder: Path
    owner: str

    @property
    def name(self) -> str:
        """The pair's name at the vendor."""
        return f"lepton-{self.owner}"

    @property
    def private(self) -> Path:
        """The path of the private key, whether it exists yet or not."""
        return self.folder / self.name

    @property
    def identity(self) -> str | None:
        """The path of the private key for an `SSHAccess`; ``None`` when this host has none."""
        return str(self.private) if self.private.exists() else None

    async def public(self) -> str:
        """Return the public key; create the pair if there is none.

        Raises:
            ConfigError: it cannot be created or read.
        """
        return await asyncio.to_thread(self._public)

    @staticmethod
    def same(one: str, other: str) -> bool:
        """Whether two public keys are equal, whatever their comments."""
        return one.split()[:2] == other.split()[:2]

    def _public(self) -> str:
        try:
            if not self.private.exists():
                self._make()
            # Derive it from the private key itself: a .pub file of another key would lock us out of a machine that we pay for.
            return self._keygen("-y", "-f", str(self.private)).strip()
        except OSError as error:
            raise self._unusable(f"the SSH key {self.private} cannot be kept: {error.strerror}", "make it writable") from error

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.folder) as folder:
            draft = Path(folder, "key")
            self._keygen("-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(draft))
            # A link never replaces: if two processes come here at once, both use the pair of the first.
            with suppress(FileExistsError):
                os.link(draft, self.private)

    def _keygen(self, *arguments: str) -> str:
        command = ["ssh-keygen", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)  # noqa: S603
        except FileNotFoundError:
            raise self._unusable("ssh-keygen was not found", "install the OpenSSH client") from None
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise self._unusable(f"ssh-keygen failed: {said}", f"move a damaged {self.private} away and try again")
        return done.stdout

    def _unusable(self, text: str, hint: str) -> ConfigError:
        error = ConfigError(text, provider=self.provider, hint=hint)
        error.scope = BlockScope.PROVIDER
        return error
