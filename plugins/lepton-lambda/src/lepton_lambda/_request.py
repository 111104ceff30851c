"""The body of a launch: what we ask for, and the stamps by which we find it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lepton_sdk.spi import ConfigError, Launch, Offer

__all__ = ["AT", "OWNER", "TOKEN", "launch_request"]

# Keys of tags: ^[a-z][a-z0-9-:]+$, at most 55 letters; values at most 128.
OWNER, TOKEN, AT = "lepton-owner", "lepton-token", "lepton-at"
_LONGEST_NAME, _LONGEST_TAG = 64, 128
_IMAGE_ID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")


def launch_request(config: Mapping[str, Any], offer: Offer, launch: Launch, key: str, now: datetime) -> dict[str, Any]:
    """The body of ``POST /instance-operations/launch``.

    Args:
        key: name of the SSH key.
        now: the API tells no launch time, so the instance carries ours.

    Raises:
        ConfigError: owner or token are longer than Lambda's names may be.
    """
    tags = {OWNER: launch.owner, TOKEN: launch.token, AT: now.isoformat(timespec="seconds")}
    _check("the SSH key's name", key, _LONGEST_NAME)
    for name, value in tags.items():
        _check(f"the tag {name}", value, _LONGEST_TAG)
    return {
        "region_name": offer.region,
        "instance_type_name": offer.instance_type,
        "ssh_key_names": [key],
        "name": f"{launch.job_name}-{launch.attempt}-{launch.rank}"[-_LONGEST_NAME:],
        "tags": [{"key": name, "value": value} for name, value in tags.items()],
        **_options(config),
    }


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if image := config.get("image"):
        options["image"] = {"id" if _IMAGE_ID.fullmatch(image) else "family": image}
    if systems := config.get("file_systems"):
        options["file_system_names"] = list(systems)
    if rulesets := config.get("firewall_rulesets"):
        options["firewall_rulesets"] = [{"id": name} for name in rulesets]
    return options


def _check(what: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise ConfigError(
            f"{what} would be {value!r}, {len(value)} letters; Lambda takes {longest}",
            provider="lambda",
            hint="use a shorter owner",
        )
