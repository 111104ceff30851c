"""Checks of the key and the project that cost nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from lepton_crusoe._api import CrusoeApi
from lepton_crusoe._listing import Prices
from lepton_crusoe._models import Quota
from lepton_sdk.spi import AuthError, Diagnosis, LeptonError

__all__ = ["diagnoses"]

T = TypeVar("T")


async def diagnoses(api: CrusoeApi, prices: Prices) -> list[Diagnosis]:
    """Check key and clock, the right to see machines, the project's quotas, and whether prices are known."""
    lines = [await _line("key", api.capacities, lambda found: f"accepted; {len(found)} rows of capacity")]
    if not lines[0].ok:
        return lines
    lines.append(await _line("machines", api.machines, lambda found: f"{len(found)} in project {api.project}"))
    lines.append(await _line("disks", api.disks, lambda found: f"{len(found)} in the project"))
    lines.append(await _rights(api))
    lines.append(await _line("quota", api.quotas, _used))
    if prices.said:
        return [*lines, Diagnosis("prices", True, f"set for {', '.join(sorted(prices.said))}")]
    hint = 'write providers.crusoe.prices, for example ["h100-80gb-sxm-ib=3.90"]'
    return [*lines, Diagnosis("prices", None, "none are set, and Crusoe's API lists none: dated list prices stand in", hint)]


async def _rights(api: CrusoeApi) -> Diagnosis:
    """Whether the key may create, by the documented roles (docs.crusoecloud.com, managing users, read 2026-11)."""
    line = await _line("rights", api.roles, lambda roles: ", ".join(sorted(role.name for role in roles)) or "no role")
    kinds = {name.rpartition("-")[2] for name in line.detail.split(", ")}
    if not line.ok or kinds & {"admin", "editor"}:
        return line
    hint = f"give the key's user the role editor or admin in project {api.project}, or in its organization"
    if kinds <= {"reader", "no role"}:
        return Diagnosis("rights", False, f"{line.detail} in the project: the key may create nothing", hint)
    return Diagnosis("rights", None, f"{line.detail}: whether that may create machines is not published", hint)


def _used(quotas: Sequence[Quota]) -> str:
    return "; ".join(f"{quota.name} {quota.used} of {quota.max}" for quota in quotas) or "not stated"


async def _line(subject: str, ask: Callable[[], Awaitable[T]], describe: Callable[[T], str]) -> Diagnosis:
    try:
        return Diagnosis(subject, True, describe(await ask()))
    except LeptonError as error:
        known = isinstance(error, AuthError)
        return Diagnosis(subject, False if known else None, error.message, error.hint or "")
