"""Loads the settings: which sources there are, and which one wins. Begin with `load_config`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from lepton_sdk._config.limits import read_caps, read_keeping
from lepton_sdk._config.tomlfile import as_list, as_table, as_text, check_keys, read_toml
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.keeping import Keeping
from lepton_sdk.errors import ConfigError
from lepton_sdk.spi.secret import Secret

__all__ = ["Config", "load_config"]

_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


@frozen
class Config:
    """The settings of one process. Providers' sections are raw here: only their plugins know which values are secret.

    Attributes:
        path: the config file, whether it exists or not.
        state_dir: where the files of runs live, and the journal unless it is in a database.
        database: the address of a PostgreSQL database that holds the journal; it may hold a password. ``None`` for a file.
        cache_dir: files that can be created again.
        providers: the tables under ``[providers]`` as the file has them.
        prefer: plugin name → the distribution to take it from.
        disabled: plugin names that are switched off.
        allowed: the only plugin or distribution names that may load; ``None`` for all, empty for none.
        strict: a faulty plugin is an error, not a warning.
        caps: what all machines and runs of this journal together may cost.
        keeping: the limits for fetching log and outputs before a machine is released.
        exposed: other users of this host can read the file.
        environ: the variables that were read.
        origins: setting → ``"argument"``, ``"env NAME"``, ``"file PATH"`` or ``"default"``.
    """

    path: Path
    state_dir: Path
    cache_dir: Path
    database: Secret | None = None
    providers: Mapping[str, Mapping[str, object]] = field(factory=dict, repr=False)
    prefer: Mapping[str, str] = field(factory=dict)
    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None
    strict: bool = False
    caps: Caps = field(factory=Caps)
    keeping: Keeping = field(factory=Keeping)
    exposed: bool = False
    environ: Mapping[str, str] = field(factory=dict, repr=False)
    origins: Mapping[str, str] = field(factory=dict)


def load_config(
    *,
    file: str | os.PathLike[str] | None = None,
    state: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The settings of this process: arguments, then the environment, then the config file, then defaults.

    Args:
        file: the config file; else ``LEPTON_SDK_CONFIG``, else ``lepton/config.toml`` under ``XDG_CONFIG_HOME``.
        state: the state folder, or ``postgresql://…`` for a journal that several hosts share; else
            ``LEPTON_SDK_STATE``, else ``state`` in the file.
        cache: the cache folder; else ``LEPTON_SDK_CACHE``, else ``cache`` in the file.
        environ: variables; ``None`` for those of this process.

    Raises:
        ConfigError: a source is wrong; the message names the file or variable, the key and the fix.
    """
    variables = os.environ if environ is None else environ
    named = file or variables.get("LEPTON_SDK_CONFIG")
    path = _absolute(named, variables) if named else _xdg(variables, "CONFIG", ".config") / "config.toml"
    tables, exposed = read_toml(path, needed=bool(named))
    check_keys(path, "", tables, ("state", "cache", "providers", "plugins", "limits", "outputs"))
    origins: dict[str, str] = {}
    place = _setting("state", state, variables, path, tables, origins)
    return Config(
        path=path,
        state_dir=_xdg(variables, "STATE", ".local/state") if isinstance(place, Secret) else place,
        cache_dir=_cache(_setting("cache", cache, variables, path, tables, origins), origins),
        database=place if isinstance(place, Secret) else None,
        providers=_providers(path, tables.get("providers", {})),
        caps=read_caps(path, tables.get("limits", {}), variables, origins),
        keeping=read_keeping(path, tables.get("outputs", {}), variables, origins),
        exposed=exposed,
        environ=variables,
        origins=origins,
        **_plugins(path, tables.get("plugins", {}), variables, origins),  # type: ignore[arg-type]
    )


def _home(variables: Mapping[str, str]) -> str:
    return variables.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - Path.home() ignores a given environ


def _xdg(variables: Mapping[str, str], kind: str, default: str) -> Path:
    given = variables.get(f"XDG_{kind}_HOME", "")
    # A relative path there is invalid and must be ignored (XDG base directory specification 0.8, 2021-05-08).
    return Path(given if given.startswith("/") else f"{_home(variables)}/{default}") / "lepton"


def _absolute(text: str | os.PathLike[str], variables: Mapping[str, str], base: Path | None = None) -> Path:
    plain = os.fspath(text)
    if plain == "~" or plain.startswith("~/"):
        plain = _home(variables) + plain[1:]
    return Path(os.path.abspath((base or Path.cwd()) / plain))  # noqa: PTH100 - resolve() would follow links


def _cache(place: Path | Secret, origins: Mapping[str, str]) -> Path:
    if isinstance(place, Secret):
        raise ConfigError(f"cache ({origins['cache']}): a cache is a folder", hint="write the path of a folder")
    return place


def _setting(
    name: str,
    argument: str | os.PathLike[str] | None,
    variables: Mapping[str, str],
    path: Path,
    tables: Mapping[str, object],
    origins: dict[str, str],
) -> Path | Secret:
    """A folder, or the address of a database."""
    variable, base = f"LEPTON_SDK_{name.upper()}", None
    if argument:
        text, origins[name] = argument, "argument"
    elif variables.get(variable):
        text, origins[name] = variables[variable], f"env {variable}"
    elif name in tables:
        text, origins[name], base = as_text(path, name, tables[name]), f"file {path}", path.parent
    else:
        origins[name] = "default"
        return _xdg(variables, name.upper(), ".local/state" if name == "state" else ".cache")
    scheme, colon, _ = str(text).partition("://")
    if colon and scheme in {"postgresql", "postgres"}:
        return Secret(str(text))
    if colon:
        hint = "write the path of a folder, or postgresql://user@host/database"
        raise ConfigError(f"{name} ({origins[name]}): {scheme}:// is not supported by this version", hint=hint)
    return _absolute(text, variables, base)


def _providers(path: Path, value: object) -> dict[str, Mapping[str, object]]:
    sections = {}
    for name, given in as_table(path, "providers", value).items():
        sections[name] = as_table(path, f"providers.{name}", given)
        enabled = sections[name].get("enabled", True)
        if not isinstance(enabled, bool):
            raise ConfigError(f"{path}: providers.{name}.enabled: {enabled!r} is not true or false", hint="write true or false")
    return sections


def _plugins(path: Path, value: object, variables: Mapping[str, str], origins: dict[str, str]) -> dict[str, object]:
    table = as_table(path, "plugins", value)
    check_keys(path, "plugins", table, ("prefer", "disabled"))
    prefer = as_table(path, "plugins.prefer", table.get("prefer", {}))
    for key in ("prefer", "disabled"):
        origins[f"plugins.{key}"] = f"file {path}" if key in table else "default"
    return {
        "prefer": {name: as_text(path, f"plugins.prefer.{name}", chosen) for name, chosen in prefer.items()},
        "disabled": frozenset(as_list(path, "plugins.disabled", table.get("disabled", []))),
        "allowed": _allowed(variables, origins),
        "strict": _strict(variables, origins),
    }


def _allowed(variables: Mapping[str, str], origins: dict[str, str]) -> frozenset[str] | None:
    text = variables.get("LEPTON_SDK_PLUGINS")
    origins["plugins.allowed"] = "default" if text is None else "env LEPTON_SDK_PLUGINS"
    return None if text is None else frozenset(filter(None, (name.strip() for name in text.split(","))))


def _strict(variables: Mapping[str, str], origins: dict[str, str]) -> bool:
    text = variables.get("LEPTON_SDK_PLUGINS_STRICT", "")
    origins["plugins.strict"] = "env LEPTON_SDK_PLUGINS_STRICT" if text else "default"
    if text.lower() not in _TRUE | _FALSE:
        raise ConfigError(f"LEPTON_SDK_PLUGINS_STRICT={text!r} is neither on nor off", hint="write 1 or 0")
    return text.lower() in _TRUE
