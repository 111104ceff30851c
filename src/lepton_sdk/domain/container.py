"""Container: how a job's image runs on a node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, fields_dict, frozen

from lepton_sdk.domain.fields import keys_of
from lepton_sdk.domain.quantity import parse_quantity
from lepton_sdk.domain.words import is_variable
from lepton_sdk.errors import JobSpecError, UsageError

__all__ = ["Container", "Registry", "check_image"]

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_PORT = re.compile(r"(?:(\d{1,5}):)?(\d{1,5})")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")


def _fail(name: str, message: str, hint: str = "") -> JobSpecError:
    return JobSpecError(f"{name}: {message}", hint=hint or None)


def check_image(value: Any) -> str | None:
    """Check an image's name, and return it as it was written, or ``None``.

    Raises:
        JobSpecError: it cannot name an image.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not _IMAGE.fullmatch(value):
        raise _fail(
            "image", f"{value!r} cannot name an image", "write REGISTRY/NAME:TAG, such as nvcr.io/nvidia/pytorch:25.10-py3"
        )
    return value


def _size(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return parse_quantity(value)
    except UsageError as error:
        raise _fail("container.shm_size", error.message, error.hint or "") from None


def _ports(value: Any) -> tuple[str, ...]:
    values = () if value is None else value if isinstance(value, list | tuple) else (value,)
    for port in map(str, values):
        found = _PORT.fullmatch(port)
        if not found or not all(0 < int(part) < 65536 for part in found.groups() if part):
            raise _fail(
                "container.ports", f"{port!r} is no port", "write 8888, or 9000:8888 for port 8888 inside as 9000 outside"
            )
    return tuple(str(port) for port in values)


def _mounts(value: Any) -> Mapping[str, str]:
    mounts = {} if value is None else value
    if not isinstance(mounts, Mapping):
        raise _fail("container.mounts", f"{value!r} is not a mapping", 'write {"/data": "/data:ro"}')
    for outside, inside in mounts.items():
        for path in (outside, str(inside).removesuffix(":ro")):
            if not isinstance(path, str) or not path.startswith("/") or ":" in path or "\0" in path or ".." in path.split("/"):
                raise _fail("container.mounts", f"{path!r} is no absolute path without a colon", "name folders from the root on")
    return dict(mounts)


def _user(value: Any) -> str | None:
    if value is None:
        return None
    if not _USER.fullmatch(str(value)):
        raise _fail("container.user", f"{value!r} is no user", "write a name, a number, or 1000:1000")
    return str(value)


def _folder(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or ":" in value or "\0" in value:
        raise _fail("container.workdir", f"{value!r} is no absolute path without a colon")
    return value


@frozen
class Registry:
    """The credentials to pull the image.

    Args:
        username: the user name at the registry.
        password: the **name** of one of the job's secrets; its value goes to the registry's login on stdin and is stored nowhere.
        server: ``""`` for the registry that the image names.
    """

    username: str
    password: str
    server: str = ""

    @classmethod
    def parse(cls, value: Any) -> Registry | None:
        """Read it from itself, a mapping or ``None``.

        Raises:
            JobSpecError: a key is missing, unknown, or holds no name.
        """
        if value is None or isinstance(value, Registry):
            return value
        values = keys_of(cls, "container.registry", value)
        for name in ("username", "password"):
            if not isinstance(values.get(name), str) or not values[name] or "\n" in values[name]:
                raise _fail(f"container.registry.{name}", "missing", "write username, and as password the name of a secret")
        if not is_variable(values["password"]):
            raise _fail(
                "container.registry.password",
                "it is no name of a secret",
                "list the name under secrets and here, never the value",
            )
        if not re.fullmatch(r"[A-Za-z0-9.:-]*", str(values.get("server", ""))):
            raise _fail("container.registry.server", f"{values['server']!r} is no host")
        return cls(**values)


def _registry(value: Any) -> Registry | None:
    return Registry.parse(value)


@frozen
class Container:
    """How a job's image runs.

    Args:
        shm_size: shared memory, GiB; by default half of the node's memory (the container engines' 64 MiB are too little for
            data loaders).
        ports: published ports; the container then has its own network. Without any it shares the node's network, which several
            nodes of a job need to reach each other.
        mounts: folders of the node by their path in the container (``"/data:ro"`` is read-only).
        user: the user in the container; by default the image's own.
        workdir: the path of the run's folder in the container, where the job begins.
        registry: credentials to pull the image.
    """

    shm_size: float | None = field(default=None, converter=_size)
    ports: tuple[str, ...] = field(default=(), converter=_ports)
    mounts: Mapping[str, str] = field(factory=dict, converter=_mounts, hash=False)
    user: str | None = field(default=None, converter=_user)
    workdir: str = field(default="/workspace", converter=_folder)
    registry: Registry | None = field(default=None, converter=_registry)

    @classmethod
    def parse(cls, value: Any) -> Container:
        """Read a container from itself, a mapping or ``None``.

        Raises:
            JobSpecError: an unknown key, or an invalid value.
        """
        if isinstance(value, Container):
            return value
        return cls(**keys_of(cls, "container", {} if value is None else value))

    def to_dict(self) -> dict[str, object]:
        """Only the values that were given, as plain JSON values."""
        data: dict[str, object] = {}
        for name, default in fields_dict(Container).items():
            value = getattr(self, name)
            if name == "registry" and value is not None:
                data[name] = {key: getattr(value, key) for key in fields_dict(Registry) if getattr(value, key)}
            elif name != "registry" and value and value != default.default:
                data[name] = list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
        return data
