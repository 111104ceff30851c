"""``[limits]``: the caps over all runs of a journal; ``[outputs]``: the time and size limits for fetching log and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lepton_sdk._config.tomlfile import as_table, check_keys
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.keeping import Keeping
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.quantity import parse_duration, parse_quantity
from lepton_sdk.errors import ConfigError, UsageError

__all__ = ["read_caps", "read_keeping"]

_T = TypeVar("_T")


def read_caps(path: Path, value: object, variables: Mapping[str, str], origins: dict[str, str]) -> Caps:
    """The caps of ``[limits]`` and of the variables ``LEPTON_SDK_LIMITS_…``, which override it.

    Raises:
        ConfigError: a value is wrong; the message names it and its source.
    """
    table = as_table(path, "limits", value)
    check_keys(path, "limits", table, ("hourly", "total", "period"))

    def read(name: str, parse: Callable[[object], _T]) -> _T | None:
        return _read(f"limits.{name}", table.get(name), parse, path, variables, origins)

    hourly, total, period = read("hourly", _amount), read("total", _amount), read("period", parse_duration)
    return Caps(hourly, total) if period is None else Caps(hourly, total, period)


def read_keeping(path: Path, value: object, variables: Mapping[str, str], origins: dict[str, str]) -> Keeping:
    """The limits of ``[outputs]`` and of the variables ``LEPTON_SDK_OUTPUTS_…``, which override it.

    Raises:
        ConfigError: a value is wrong; the message names it and its source.
    """
    table = as_table(path, "outputs", value)
    check_keys(path, "outputs", table, ("time", "size", "after_stop"))

    def read(name: str, parse: Callable[[object], _T], usual: _T) -> _T:
        found = _read(f"outputs.{name}", table.get(name), parse, path, variables, origins)
        return usual if found is None else found

    usual = Keeping()
    return Keeping(
        read("time", parse_duration, usual.time),
        read("size", _size, usual.size),
        read("after_stop", parse_duration, usual.after_stop),
    )


def _read(
    name: str,
    value: object,
    parse: Callable[[object], _T],
    path: Path,
    variables: Mapping[str, str],
    origins: dict[str, str],
) -> _T | None:
    """A setting from its variable, else from the file; ``None`` if neither has it."""
    variable = f"LEPTON_SDK_{name.replace('.', '_').upper()}"
    text: object = variables.get(variable) or value
    if text is None:
        return None
    where = origins[name] = f"env {variable}" if variables.get(variable) else f"file {path}"
    try:
        return parse(text)
    except UsageError as error:
        raise ConfigError(f"{name} ({where}): {error.message}", hint=error.hint) from None


def _amount(value: object) -> Money:
    cap = Money.parse(value)
    if cap.amount < 0:
        raise UsageError(f"{cap} is negative", hint="write 0 or more")
    return cap


def _size(value: object) -> int:
    """Bytes from GiB."""
    return round(parse_quantity(value) * (1 << 30))
