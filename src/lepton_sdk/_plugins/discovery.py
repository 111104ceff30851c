"""The six states of plugins, worked out from entry points, configuration and specs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve

from lepton_sdk._config import Config, read_section
from lepton_sdk._gate.specs import check_spec
from lepton_sdk._plugins.entry_points import EntryPoint, normal_name
from lepton_sdk._plugins.loading import load_object, said
from lepton_sdk._plugins.status import CONTRACT, KINDS, PluginState, PluginStatus
from lepton_sdk.domain.access import CORE_KINDS
from lepton_sdk.errors import ConfigError, PluginBroken
from lepton_sdk.spi.spec import ConfigField, ExecutorSpec, PluginSpec, ProviderSpec

__all__ = ["discover", "names"]

_CORE = "lepton-sdk"


def names(kind: str, entries: Iterable[EntryPoint], config: Config) -> tuple[str, ...]:
    """The names of one kind that may be used, sorted; imports no plugin."""
    group = f"{KINDS[kind][0]}.{CONTRACT}"
    found = (e for e in entries if e.group == group)
    return tuple(sorted({e.name for e in found if not _switched_off(e, kind, config)}))


def discover(kind: str, entries: Iterable[EntryPoint], config: Config) -> Iterator[PluginStatus]:
    """The state of every installed plugin of one kind, by name; imports specs, no factories."""
    by_name: dict[str, dict[str, list[EntryPoint]]] = {}
    for entry in dict.fromkeys(entries):
        base, _, contract = entry.group.rpartition(".")
        if base == KINDS[kind][0] and re.fullmatch(r"v\d+", contract):
            by_name.setdefault(entry.name, {}).setdefault(contract, []).append(entry)
    for name in sorted(by_name):
        contracts = by_name[name]
        if CONTRACT in contracts:
            yield from _claims(kind, contracts[CONTRACT], config)
        else:
            yield from (_foreign(kind, entry, config) for claims in contracts.values() for entry in claims)


def _status(kind: str, entry: EntryPoint, state: PluginState, reason: str = "", hint: str = "") -> PluginStatus:
    contract = entry.group.rpartition(".")[2]
    return PluginStatus(entry.name, kind, entry.distribution, entry.version, contract, state, reason, hint)


def _switched_off(entry: EntryPoint, kind: str, config: Config) -> tuple[str, str] | None:
    """Why the configuration excludes it, and how to change that. Core's own entry points cannot be switched off."""
    if entry.name in config.disabled:
        return "plugins.disabled names it", f"take {entry.name} out of plugins.disabled in {config.path}"
    if kind == "provider" and config.providers.get(entry.name, {}).get("enabled") is False:
        where = f"providers.{entry.name}"
        return f"{where}.enabled is false", f"set enabled = true under [{where}] in {config.path}"
    if config.allowed is None or entry.distribution == _CORE or {entry.name, entry.distribution} & config.allowed:
        return None
    return "LEPTON_SDK_PLUGINS does not name it", f"add {entry.name} to LEPTON_SDK_PLUGINS, or unset the variable"


def _foreign(kind: str, entry: EntryPoint, config: Config) -> PluginStatus:
    if off := _switched_off(entry, kind, config):
        return _status(kind, entry, PluginState.DISABLED, *off)
    contract = entry.group.rpartition(".")[2]
    newer = int(contract[1:]) > int(CONTRACT[1:])
    older, step = f"a release of {entry.distribution} for {CONTRACT}", f"pip install --upgrade {entry.distribution}"
    return _status(
        kind,
        entry,
        PluginState.INCOMPATIBLE,
        f"it is written for contract {contract}, this lepton_sdk speaks {CONTRACT}",
        f"pip install --upgrade {_CORE}, or install {older}" if newer else step,
    )


def _claims(kind: str, claims: Sequence[EntryPoint], config: Config) -> Iterator[PluginStatus]:
    wanted = []
    for entry in sorted(claims, key=lambda claim: (claim.distribution, claim.value)):
        if off := _switched_off(entry, kind, config) or _not_preferred(entry, claims, config):
            yield _status(kind, entry, PluginState.DISABLED, *off)
        else:
            wanted.append(entry)
    if len(wanted) == 1:
        yield _judge(kind, wanted[0], config)
    for entry in wanted if len(wanted) > 1 else ():
        others = ", ".join(f"{e.distribution} ({e.value})" for e in wanted if e is not entry)
        yield _status(
            kind,
            entry,
            PluginState.CONFLICT,
            f"{others} claims the name as well",
            f'uninstall one, or write {entry.name} = "{entry.distribution}" under [plugins.prefer] in {config.path}',
        )


def _not_preferred(entry: EntryPoint, claims: Sequence[EntryPoint], config: Config) -> tuple[str, str] | None:
    chosen = normal_name(config.prefer.get(entry.name, entry.distribution))
    if entry.distribution == chosen:
        return None
    missing = "" if any(e.distribution == chosen for e in claims) else ", which is not installed"
    return (
        f"plugins.prefer.{entry.name} is {chosen}{missing}",
        f"pip install {chosen}, or change plugins.prefer in {config.path}",
    )


def _judge(kind: str, entry: EntryPoint, config: Config) -> PluginStatus:
    try:
        spec = _spec(kind, entry)
        status = evolve(_status(kind, entry, PluginState.READY), spec=spec)
        return _configured(status, spec, config) if isinstance(spec, ProviderSpec) else status
    except PluginBroken as error:
        reason, hint = error.message, error.hint
    except Exception as error:  # a spec whose own fields are wrong
        reason, hint = f"its spec does not hold: {said(error)}", None
    step = hint or f"pip install --upgrade {entry.distribution}, or add {entry.name} to plugins.disabled"
    return _status(kind, entry, PluginState.BROKEN, reason, step)


def _spec(kind: str, entry: EntryPoint) -> PluginSpec:
    expected = KINDS[kind][1]
    found = load_object(entry.value)
    if not isinstance(found, expected):
        raise PluginBroken(f"{entry.value} is {type(found).__name__}, not {expected.__name__}")
    if found.name != entry.name:
        raise PluginBroken(
            f"its entry point is called {entry.name} and its spec {found.name}",
            hint=f"tell the author of {entry.distribution}: both must bear one name",
        )
    if isinstance(found, ExecutorSpec) and found.access in CORE_KINDS and entry.distribution != _CORE:
        raise PluginBroken(
            f"it claims the access kind {found.access!r}, which is core's own",
            hint=f"tell the author of {entry.distribution}: an executor brings a kind of its own, returned as a CustomAccess",
        )
    check_spec(found)
    return found


def _configured(status: PluginStatus, spec: ProviderSpec, config: Config) -> PluginStatus:
    try:
        section = read_section(config, spec)
    except ConfigError as error:
        return evolve(status, state=PluginState.UNCONFIGURED, reason=error.message, hint=error.hint or "correct it", named=True)
    if not section.named and "local" not in spec.capabilities:
        secret = any(item.secret for item in spec.config)
        reason, need = "no credentials" if secret else "not in the configuration", _credentials(spec)
    elif section.missing:
        reason, need = f"{section.missing[0].name} has no value", section.missing
    else:
        return evolve(status, named=section.named)
    return evolve(status, state=PluginState.UNCONFIGURED, reason=reason, hint=_step(config, spec, need), named=section.named)


def _credentials(spec: ProviderSpec) -> tuple[ConfigField, ...]:
    return tuple(item for item in spec.config if item.required) or tuple(item for item in spec.config if item.secret)


def _step(config: Config, spec: ProviderSpec, need: Sequence[ConfigField]) -> str:
    """The variable or key for what the provider lacks."""
    table = f"[providers.{spec.name}] in {config.path}"
    if not need:
        return f"add {table}"
    variables = [item.env for item in need if item.env]
    keys = " and ".join(item.name for item in need)
    return f"set {' and '.join(variables)}, or write {keys} under {table}" if variables else f"write {keys} under {table}"
