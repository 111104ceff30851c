"""The key pair and the project: from the provider's section, else from the file of Crusoe's own command."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from attrs import field, frozen

from lepton_crusoe._errors import KEY_HINT
from lepton_crusoe._signing import read_key
from lepton_sdk.spi import AuthError, ConfigError, Secret

__all__ = ["Credentials", "read_credentials"]


@frozen
class Credentials:
    """What requests are signed with."""

    access_key_id: str = field(repr=False)
    key: bytes = field(repr=False)
    project: str


def read_credentials(config: Mapping[str, object], file: Path | None = None) -> Credentials:
    """Key and project, checked as far as that goes without a call.

    Args:
        config: the provider's own section.
        file: of Crusoe's own command; ``~/.crusoe/config`` when not given.

    Raises:
        AuthError: a half of the key is missing or cannot be one.
        ConfigError: no project is named, or the vendor's file cannot be read.
    """
    named = {name: _plain(config.get(name)) for name in ("access_key_id", "secret_key", "project_id")}
    # One key is one pair: a half from here and a half from there would only be refused later.
    if not (named["access_key_id"] or named["secret_key"]) or not named["project_id"]:
        theirs = _vendors_file(file or Path.home() / ".crusoe" / "config")
        if not (named["access_key_id"] or named["secret_key"]):
            named |= {"access_key_id": theirs.get("access_key_id", ""), "secret_key": theirs.get("secret_key", "")}
        named["project_id"] = named["project_id"] or _uuid(theirs.get("default_project", ""))
    return Credentials(_access_key(named["access_key_id"]), _secret_key(named["secret_key"]), _project(named["project_id"]))


def _plain(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value or "")


def _access_key(text: str) -> str:
    if not text:
        raise AuthError("there is no access key: CRUSOE_ACCESS_KEY_ID is empty", provider="crusoe", hint=KEY_HINT)
    if not text.isascii() or not text.isprintable() or " " in text or ":" in text:
        raise AuthError("CRUSOE_ACCESS_KEY_ID has letters that no access key has", provider="crusoe", hint=KEY_HINT)
    return text


def _secret_key(text: str) -> bytes:
    if not text:
        raise AuthError("there is no secret key: CRUSOE_SECRET_KEY is empty", provider="crusoe", hint=KEY_HINT)
    try:
        return read_key(text)
    except ValueError:
        # Without the cause: its text could show a part of the secret.
        raise AuthError(
            "CRUSOE_SECRET_KEY is no secret key: it is not base64url, so it was cut off or mistyped",
            provider="crusoe",
            hint=KEY_HINT,
        ) from None


def _project(text: str) -> str:
    if not text:
        raise ConfigError(
            "no project is named: CRUSOE_PROJECT_ID and providers.crusoe.project_id are empty",
            provider="crusoe",
            hint="crusoe projects list shows the ids",
        )
    if not text.isascii() or not text.replace("-", "").isalnum():
        raise ConfigError(
            f"providers.crusoe.project_id: {text!r} is not an id", provider="crusoe", hint="write the id, not the project's name"
        )
    return text


def _uuid(text: str) -> str:
    """The text if it is an id: Crusoe's command also takes a project's name there, which the API does not."""
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def _vendors_file(path: Path) -> Mapping[str, str]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        # Not the parser's words: they could quote the line that holds the secret.
        raise ConfigError(
            f"{path} cannot be read ({type(error).__name__})", provider="crusoe", hint="mend it, or set CRUSOE_SECRET_KEY"
        ) from None
    profile = data.get(str(data.get("profile", "default")), {})
    return {key: value for key, value in profile.items() if isinstance(value, str)} if isinstance(profile, dict) else {}
