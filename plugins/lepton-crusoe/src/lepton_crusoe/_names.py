"""Names that carry owner and token: Crusoe knows no tags, so a name is all that tells ours from others' things."""

from __future__ import annotations

import re

from attrs import frozen

from lepton_sdk.spi import ConfigError

__all__ = ["Stamp", "name_for", "read_name"]

# The published API states no rule for names; these letters and this length are valid as a host name everywhere.
_PART = re.compile(r"[a-z0-9]{1,24}")
_NAME = re.compile(r"lepton-([a-z0-9]{1,24})-([a-z0-9]{1,24})(?:-.*)?")


@frozen
class Stamp:
    """Whose a thing is, and for which node of which attempt it was made."""

    owner: str
    token: str


def name_for(owner: str, token: str, part: str = "") -> str:
    """The one name of a machine, or of a ``part`` of it (``disk``, ``ib``).

    Raises:
        ConfigError: owner or token would break the name, so that nobody could find the machine again.
    """
    for what, value in (("owner", owner), ("token", token)):
        if not _PART.fullmatch(value):
            raise ConfigError(
                f"the {what} {value!r} cannot be part of a machine's name",
                provider="crusoe",
                hint="use 1 to 24 lower-case letters and digits",
            )
    return f"lepton-{owner}-{token}" + (f"-{part}" if part else "")


def read_name(name: str) -> Stamp | None:
    """What a name carries; ``None`` when it is not one of ours."""
    match = _NAME.fullmatch(name)
    return Stamp(match[1], match[2]) if match else None
