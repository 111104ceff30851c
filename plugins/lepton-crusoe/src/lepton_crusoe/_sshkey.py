"""The key pair of one owner, kept on this host with mode 0600. Crusoe takes its public half with each machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lepton_sdk.spi import BlockScope, ConfigError

__all__ = ["private_key", "public_key"]


def private_key(folder: Path, owner: str) -> Path:
    """Where the private key of an owner lies."""
    return folder / f"lepton-{owner}"


async def public_key(private: Path) -> str:
    """The public half; the pair is made if there is none.

    Raises:
        ConfigError: it cannot be made or read.
    """
    return await asyncio.to_thread(_public_half, private)


def _public_half(private: Path) -> str:
    try:
        if not private.exists():
            _make(private)
        # Asked of the private key itself: a .pub that belongs to another key would lock us out of a machine that we pay.
        return _keygen("-y", "-f", str(private)).strip()
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
    error = ConfigError(text, provider="crusoe", hint=hint)
    error.scope = BlockScope.PROVIDER
    return error
