"""What the double accepts: the published shapes, with unknown fields refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lepton_lambda.double.refusals import refused

__all__ = ["check_key", "check_launch", "check_terminate"]

_Test = Callable[[Any], bool]
_TAG_KEY = re.compile(r"[a-z][a-z0-9-:]+")
_HOSTNAME = re.compile(r"[a-z0-9][0-9a-z-]{0,62}")


def _text(longest: int, shortest: int = 0) -> _Test:
    return lambda value: isinstance(value, str) and shortest <= len(value) <= longest


def _list(test: _Test) -> _Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def _object(**tests: _Test) -> _Test:
    return lambda value: isinstance(value, dict) and value.keys() == tests.keys() and all(tests[k](v) for k, v in value.items())


def _tag_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 55 and _TAG_KEY.fullmatch(value) is not None


def _hostname(value: Any) -> bool:
    return isinstance(value, str) and _HOSTNAME.fullmatch(value) is not None


_ANY = _text(1 << 20)
_BY_ID, _BY_FAMILY = _object(id=_ANY), _object(family=_ANY)
_LAUNCH: dict[str, _Test] = {
    "region_name": _ANY,
    "instance_type_name": _ANY,
    "ssh_key_names": lambda value: _list(_ANY)(value) and len(value) == 1,
    "file_system_names": _list(_ANY),
    "file_system_mounts": _list(_object(mount_point=_ANY, file_system_id=_ANY)),
    "hostname": _hostname,
    "name": _text(64),
    "image": lambda value: _BY_ID(value) or _BY_FAMILY(value),
    "user_data": _ANY,
    "tags": _list(_object(key=_tag_key, value=_text(128))),
    "firewall_rulesets": _list(_BY_ID),
}


def _check(body: Any, fields: dict[str, _Test], required: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise refused("global/invalid-parameters", "The body is not a JSON object.")
    for name in required:
        if name not in body:
            raise refused("global/invalid-parameters", f"{name} is missing.")
    for name, value in body.items():
        if name not in fields:
            raise refused("global/invalid-parameters", f"{name} is not a known field.")
        if not fields[name](value):
            raise refused("global/invalid-parameters", f"{name} is invalid.")
    return body


def check_launch(body: Any) -> dict[str, Any]:
    """A launch.

    Raises:
        Refused: it is not as published.
    """
    return _check(body, _LAUNCH, ("region_name", "instance_type_name", "ssh_key_names"))


def check_terminate(body: Any) -> list[str]:
    """The ids of a termination."""
    ids: list[str] = _check(body, {"instance_ids": _list(_ANY)}, ("instance_ids",))["instance_ids"]
    return ids


def check_key(body: Any) -> dict[str, Any]:
    """A new SSH key; the double makes none itself."""
    return _check(body, {"name": _text(64, 1), "public_key": _text(4096, 1)}, ("name", "public_key"))
