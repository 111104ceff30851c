"""A provider's own section: typed, checked against the fields that its spec declares, secrets wrapped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from lepton_sdk._config.load import Config
from lepton_sdk._config.tomlfile import check_keys
from lepton_sdk._gate.answers import checked_stored
from lepton_sdk.errors import ConfigError, LeptonError, PluginBroken
from lepton_sdk.spi.secret import Secret
from lepton_sdk.spi.spec import ConfigField, ProviderSpec

__all__ = ["Section", "read_section"]

# Beside ``enabled``: the key of every provider whose machines get a watchdog.
_WATCHDOG = ConfigField("watchdog", type="bool", default=True)

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a finite number"),
    "bool": ((bool,), "true or false"),
    "list": ((list,), "a list"),
    "tables": ((list,), "a list of tables"),
}
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@frozen
class Section:
    """The configuration of one provider.

    Attributes:
        values: field name → value; a `Secret` for a secret field.
        origins: field name → ``"env NAME"``, ``"file PATH"`` (ours or the vendor's own) or ``"default"``.
        missing: required fields without a value.
        named: the user asked for this provider: it has a section, or one of its credentials is in the environment.
    """

    values: Mapping[str, object]
    origins: Mapping[str, str]
    missing: tuple[ConfigField, ...] = ()
    named: bool = False


def read_section(config: Config, spec: ProviderSpec) -> Section:
    """Read the section of a provider.

    A value comes from ``LEPTON_SDK_PROVIDERS_NAME_FIELD``, else from ``[providers.NAME]`` in the file, else from the
    vendor's own variable, else from the file of the vendor's own tool (`ProviderSpec.stored`), else from the field's default.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or an unreadable vendor's file.
        PluginBroken: the plugin's reader of that file failed.
    """
    table = config.providers.get(spec.name, {})
    where = f"providers.{spec.name}"
    fields = (*spec.config, _WATCHDOG) if spec.watched else spec.config
    check_keys(config.path, where, table, ["enabled", *(item.name for item in fields)])
    named = spec.name in config.providers
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for item in fields:
        values[item.name], origins[item.name] = _value(config, where, item, table)
        ours = origins[item.name].startswith("env LEPTON_SDK_")
        named = named or ours or (origins[item.name].startswith("env ") and (item.secret or item.required))
    if spec.stored:
        _fill(config, spec, values, origins)
    missing = tuple(item for item in spec.config if item.required and _is_empty(values[item.name]))
    return Section(values, origins, missing, named)


def _fill(config: Config, spec: ProviderSpec, values: dict[str, object], origins: dict[str, str]) -> None:
    """Fill empty keys from what the vendor's own tool has stored; its secrets all together or not at all."""
    has_secret = any(item.secret and not _is_empty(values[item.name]) for item in spec.config)
    empty = [item for item in spec.config if _is_empty(values[item.name]) and not (item.secret and has_secret)]
    if not any(item.secret or item.required for item in empty):
        return
    path, stored = _read_stored(spec, Path(config.environ.get("HOME") or Path.home()))
    for item in empty:
        if stored.get(item.name):
            values[item.name] = _typed(item, f"{path}: {item.name}", stored[item.name])
            origins[item.name] = f"file {path}"


def _read_stored(spec: ProviderSpec, home: Path) -> tuple[Path, Mapping[str, str]]:
    from importlib import import_module

    module, _, name = spec.stored.partition(":")
    try:
        return checked_stored(getattr(import_module(module), name)(home))
    except LeptonError:
        raise
    except (Exception, SystemExit) as error:
        # Not the error's text: it could quote a secret.
        raise PluginBroken(f"{spec.stored} failed ({type(error).__name__})", hint="tell the plugin's author") from error


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | Secret | list) and not value)


def _value(config: Config, where: str, item: ConfigField, table: Mapping[str, object]) -> tuple[object, str]:
    own = f"LEPTON_SDK_{where}_{item.name}".upper().replace(".", "_").replace("-", "_")
    if config.environ.get(own):
        raw, origin = _from_text(item, own, config.environ[own]), f"env {own}"
    elif item.name in table:
        raw, origin = table[item.name], f"file {config.path}"
    elif item.env and config.environ.get(item.env):
        raw, origin = _from_text(item, item.env, config.environ[item.env]), f"env {item.env}"
    else:
        return item.default, "default"
    source = origin.removeprefix("env ") if origin.startswith("env ") else f"{config.path}: {where}.{item.name}"
    return _typed(item, source, raw), origin


def _from_text(item: ConfigField, variable: str, text: str) -> object:
    """A variable's text as the field's type; text that does not convert stays text, and the type check reports it."""
    try:
        match item.type:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                return _WORDS[text.strip().lower()]
            case "list":
                return [part.strip() for part in text.split(",") if part.strip()]
    except (KeyError, ValueError):
        pass
    return text


def _typed(item: ConfigField, source: str, raw: object) -> object:
    types, words = _TYPES[item.type]
    holds = isinstance(raw, types) and (item.type == "bool" or not isinstance(raw, bool))
    if item.type == "tables" and isinstance(raw, list):
        holds = all(isinstance(row, dict) for row in raw)
    if not holds or (isinstance(raw, float) and not math.isfinite(raw)):
        shown = "the value" if item.secret else repr(raw)
        raise ConfigError(f"{source}: {shown} is not {words}", hint=item.help or f"write {words}")
    if item.type == "float":
        return float(raw)  # type: ignore[arg-type]
    return Secret(str(raw)) if item.secret else raw
