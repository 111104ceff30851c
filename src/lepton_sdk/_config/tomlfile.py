"""Reads the config file, and checks it key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lepton_sdk.errors import ConfigError

__all__ = ["TomlFile", "as_list", "as_table", "as_text", "check_keys", "read_toml"]

# A config file has few lines; a larger file was named by mistake.
_LARGEST = 1 << 20

TomlFile = tuple[dict[str, object], bool]


def read_toml(path: Path, *, needed: bool) -> TomlFile:
    """The tables of a file, and whether other users can read it.

    Args:
        path: the file.
        needed: a missing file is an error, because the user named it.

    Raises:
        ConfigError: missing though named, unreadable, larger than 1 MiB, not UTF-8, not TOML.
    """
    import os

    try:
        with path.open("rb") as file:
            exposed = bool(os.fstat(file.fileno()).st_mode & 0o077)
            raw = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        if not needed:
            return {}, False
        raise ConfigError(f"{path} does not exist", hint="make the file, or name another one") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="make it a file that you can read") from None
    return _parse(path, raw), exposed


def _parse(path: Path, raw: bytes) -> dict[str, object]:
    if len(raw) > _LARGEST:
        raise ConfigError(f"{path} is larger than 1 MiB", hint="name a config file")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 at byte {error.start}", hint="save it as UTF-8") from None
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="see https://toml.io for how to write it") from None


def check_keys(path: Path, where: str, keys: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an unknown key. Its value is not shown: it may be a secret under a misspelt name."""
    words = set(known)
    for key in keys:
        if key not in words:
            from lepton_sdk.domain.fields import nearest

            name = f"{where}.{key}" if where else key
            raise ConfigError(f"{path}: {name}: unknown key", hint=nearest(key, words) or None)


def as_table(path: Path, name: str, value: object) -> Mapping[str, object]:
    """``value`` as a table."""
    if isinstance(value, dict):
        return value
    raise ConfigError(f"{path}: {name}: {value!r} is not a table", hint=f"write it as [{name}]")


def as_text(path: Path, name: str, value: object) -> str:
    """``value`` as non-empty text."""
    if isinstance(value, str) and value.strip():
        return value
    raise ConfigError(f"{path}: {name}: {value!r} is not a text", hint=f'write {name.rpartition(".")[2]} = "…"')


def as_list(path: Path, name: str, value: object) -> list[str]:
    """``value`` as a list of texts."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise ConfigError(f"{path}: {name}: {value!r} is not a list of names", hint=f'write {name.rpartition(".")[2]} = ["a", "b"]')
