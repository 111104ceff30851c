"""``[limits]``: the caps over everything that a journal holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lepton_sdk._config.tomlfile import as_table, check_keys
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.quantity import parse_duration
from lepton_sdk.errors import ConfigError, UsageError

__all__ = ["read_caps"]

_T = TypeVar("_T")


def read_caps(path: Path, value: object, variables: Mapping[str, str], origins: dict[str, str]) -> Caps:
    """The caps of ``[limits]`` and of the variables ``LEPTON_SDK_LIMITS_…``, which go over it.

    Raises:
        ConfigError: one does not hold; the message names it and where it comes from.
    """
    table = as_table(path, "limits", value)
    check_keys(path, "limits", table, ("hourly", "total", "period"))

    def read(name: str, parse: Callable[[object], _T]) -> _T | None:
        variable = f"LEPTON_SDK_LIMITS_{name.upper()}"
        text: object = variables.get(variable) or table.get(name)
        if text is None:
            return None
        where = origins[f"limits.{name}"] = f"env {variable}" if variables.get(variable) else f"file {path}"
        try:
            return parse(text)
        except UsageError as error:
            raise ConfigError(f"limits.{name} ({where}): {error.message}", hint=error.hint) from None

    hourly, total, period = read("hourly", _amount), read("total", _amount), read("period", parse_duration)
    return Caps(hourly, total) if period is None else Caps(hourly, total, period)


def _amount(value: object) -> Money:
    cap = Money(value)
    if cap.amount < 0:
        raise UsageError(f"{cap} is negative", hint="write 0 or more")
    return cap
