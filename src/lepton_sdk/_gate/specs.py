"""Checks specs. A wrong field makes its plugin broken when plugins are listed, not later in a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lepton_sdk._gate.values import Check, Wrong, flag, is_a, kind, maybe, name, number, part_of, violation, words
from lepton_sdk.errors import ContractViolation, PluginBroken
from lepton_sdk.spi.spec import (
    CommandSpec,
    ConfigField,
    ExecutorSpec,
    ObserverSpec,
    PluginSpec,
    PowerOff,
    ProviderSpec,
    Timings,
    WatchdogWay,
)

__all__ = ["check_spec"]

_TYPES = ("str", "int", "float", "bool", "list", "tables")
# More than a day between two calls, or ten years for a vendor's timing, is a mistake of unit.
_RATE, _SECONDS = 86_400.0, 315_360_000.0


def _matching(pattern: str, fix: str) -> Check:
    def check(value: Any) -> str:
        if not is_a(value, str) or not re.fullmatch(pattern, value):
            raise Wrong(fix)
        return str.__str__(value)

    return check


def _flags(value: Any) -> Any:
    if not is_a(value, frozenset) or not all(is_a(one, str) and len(one) > 1 for one in value):
        raise Wrong('write a set of flags such as {"local", "diagnose"}')
    return value


def _numbers(most: float) -> Check:
    check = number(most)

    def each(value: Any) -> Any:
        if not is_a(value, Mapping) or not all(is_a(key, str) for key in value):
            raise Wrong("write a mapping of text to seconds")
        return {key: check(item) for key, item in value.items()}

    return each


def _regex(value: Any) -> Any:
    if not is_a(value, str):
        raise Wrong("write a regular expression as text")
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise Wrong(f"write a regular expression: {error}") from None
    return value


def _timings(value: Any) -> Any:
    if not is_a(value, Timings):
        raise Wrong("write Timings(...)")
    _hold(_TIMINGS, value, "timings.")
    return value


def _fields(value: Any) -> Any:
    if not is_a(value, tuple) or not all(is_a(item, ConfigField) for item in value):
        raise Wrong("write a tuple of ConfigField(...)")
    for item in value:
        _hold(_FIELD, item, "config.")
    names = [item.name for item in value]
    if len(set(names)) < len(names) or "enabled" in names:
        raise Wrong("give each field a name of its own; enabled is core's")
    return value


def _target(value: Any) -> Any:
    return _matching(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", 'write an import string, "package.module:callable"')(value)


_TITLE = words(200)
_TIMINGS: Mapping[str, Check] = {
    **dict.fromkeys(("listing_lag", "create_horizon", "boot", "billing_increment", "poll", "idempotency"), number(_SECONDS)),
    "boot_by_type": _numbers(_SECONDS),
}
_FIELD: Mapping[str, Check] = {
    "name": _matching(r"[a-z][a-z0-9_]{0,63}", "write 1 to 64 lower-case letters, digits and underscores"),
    "type": _matching("|".join(_TYPES), f"write one of {', '.join(_TYPES)}"),
    "required": flag,
    "secret": flag,
    "env": maybe(_matching(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "write the name of a variable, or None")),
    "help": words(1000),
}
_CHECKS: Mapping[type, Mapping[str, Check]] = {
    ProviderSpec: {
        "title": _TITLE,
        "homepage": _TITLE,
        "factory": _target,
        "capabilities": _flags,
        "access": _flags,
        "config": _fields,
        "stored": lambda value: value if is_a(value, str) and not str.__len__(value) else _target(value),
        "power_off": kind(PowerOff),
        "watchdog": kind(WatchdogWay),
        "timings": _timings,
        "name_pattern": _regex,
        "rates": _numbers(_RATE),
    },
    ExecutorSpec: {"title": _TITLE, "factory": _target, "capabilities": _flags, "access": name(64)},
    CommandSpec: {"help": words(), "factory": _target, "provider": words(64)},
    ObserverSpec: {"title": _TITLE, "factory": _target},
}


def check_spec(spec: PluginSpec) -> None:
    """Check every field of a spec.

    Raises:
        PluginBroken: one of them is wrong; the text names it, its value and what to write.
    """
    try:
        _hold(_CHECKS[type(spec)], spec, "")
    except ContractViolation as fault:
        raise PluginBroken(f"its spec does not hold: {fault.message}", hint=f"{fault.hint}; or tell its author") from None


def _hold(checks: Mapping[str, Check], value: Any, before: str) -> None:
    for part, check in checks.items():
        given = part_of(value, part)
        try:
            check(given)
        except Wrong as wrong:
            raise violation(f"{before}{part}", given, str(wrong)) from None
