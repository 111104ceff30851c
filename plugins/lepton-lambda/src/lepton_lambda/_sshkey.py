"""The key pair of one owner: kept on this host with mode 0600, its public half registered at Lambda by the owner's name."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lepton_lambda._api import LambdaApi
from lepton_sdk.spi import AuthError, BlockScope, ConfigError

__all__ = ["OwnerKey", "key_name"]

_CONSOLE = "https://cloud.lambda.ai/ssh-keys"


def key_name(owner: str) -> str:
    """What the key of an owner is called at Lambda."""
    return f"lepton-{owner}"


class OwnerKey:
    """The key pair of one owner, and the account's canary: an account without it is not the one that we used before.

    Args:
        folder: where the pair lies; made on demand with mode 0700.
    """

    def __init__(self, api: LambdaApi, folder: Path, owner: str) -> None:
        self._api = api
        self.name = key_name(owner)
        self.private = folder / self.name
        self._registered = folder / f"{self.name}.registered"
        self._known = False

    @property
    def used_before(self) -> bool:
        """Whether this host has registered the key in an account."""
        return self._registered.exists()

    async def ensure(self, announce: Callable[[str, str], Awaitable[None]]) -> None:
        """Make the pair and register it, where that has not been done.

        Raises:
            ConfigError: a key with our name and other content is registered, or the pair cannot be made.
        """
        if self._known:
            return
        registered = [key for key in await self._api.ssh_keys() if key.name == self.name]
        public = await asyncio.to_thread(_public_half, self.private)
        if any(_content(key.public_key) != _content(public) for key in registered):
            raise _elsewhere(self.name, self.private)
        if not registered:
            await announce("ssh-key", self.name)
            await self._api.add_ssh_key(self.name, public)
        self._registered.touch(mode=0o600)
        self._known = True

    def forget(self) -> None:
        """Look at the account again before the next launch."""
        self._known = False

    async def check_account(self) -> None:
        """Before an absence is believed: is this the account in which we made things?

        Raises:
            AuthError: it has no key of our name.
        """
        if any(key.name == self.name for key in await self._api.ssh_keys()):
            return
        raise AuthError(
            f"this account has no SSH key {self.name}, so it is not the one in which machines were made",
            provider="lambda",
            hint=f"put the key of that account into LAMBDA_API_KEY; if the SSH key was deleted, add {self.private}.pub again",
        )


def _content(public_key: str) -> list[str]:
    """Type and key, without the comment."""
    return public_key.split()[:2]


def _elsewhere(name: str, private: Path) -> ConfigError:
    error = ConfigError(
        f"the account has an SSH key {name} that is not the one in {private}.pub, so its machines could not be reached",
        provider="lambda",
        hint=f"copy the private key from the host that made it to {private}, or delete {name} at {_CONSOLE}",
    )
    error.scope = BlockScope.PROVIDER
    return error


def _public_half(private: Path) -> str:
    """The public key of ``private``; the pair is made if there is none."""
    public = private.with_name(f"{private.name}.pub")
    try:
        if not private.exists():
            _make(private)
        if not public.exists():
            public.write_text(_keygen("-y", "-f", str(private)))
        return public.read_text().strip()
    except OSError as error:
        raise _unusable(f"the SSH key {private} cannot be kept: {error.strerror}", "make its folder writable") from error


def _make(private: Path) -> None:
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=private.parent) as folder:
        draft = Path(folder, "key")
        _keygen("-q", "-t", "ed25519", "-N", "", "-C", private.name, "-f", str(draft))
        # A link never replaces: of two processes that come here at once, one pair wins for both.
        with suppress(FileExistsError):
            os.link(draft, private)


def _keygen(*arguments: str) -> str:
    try:
        done = subprocess.run(["ssh-keygen", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)  # noqa: S603, S607
    except FileNotFoundError:
        raise _unusable("ssh-keygen was not found", "install the OpenSSH client") from None
    if done.returncode:
        raise _unusable(f"ssh-keygen failed: {done.stderr.strip() or done.stdout.strip()}", "delete a damaged key and try again")
    return done.stdout


def _unusable(text: str, hint: str) -> ConfigError:
    error = ConfigError(text, provider="lambda", hint=hint)
    error.scope = BlockScope.PROVIDER
    return error
