"""Access: how to reach a node. A provider returns one; its kind chooses the executor.

Core has two kinds. A distribution with its own executor brings its own kind as a `CustomAccess`. Core stores that and passes it
on, and does not read its data:

>>> access = CustomAccess("slurm", {"cluster": "north", "job": 17})
>>> access_from_dict(access_to_dict(access)) == access
True
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, fields_dict, frozen

from lepton_sdk.errors import ContractViolation

__all__ = ["CORE_KINDS", "Access", "CustomAccess", "LocalAccess", "SSHAccess", "access_from_dict", "access_to_dict"]

# The limit is small because the journal repeats an access in its node's entries.
_MOST_BYTES = 8192
_LONGEST_KIND = 32


class Access:
    """How to reach a node.

    Attributes:
        kind: names the executors that can use it, such as ``"ssh"``.
        environment: variables that the provider sets for the job (``CUDA_VISIBLE_DEVICES``).
        address: where the other nodes of the attempt reach this one; ``""`` if nobody knows.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def kind(self) -> str: ...

        @property
        def environment(self) -> Mapping[str, str]: ...

        @property
        def address(self) -> str: ...


@frozen
class LocalAccess(Access):
    """This host. Only a provider with the capability ``local`` may return it."""

    kind: ClassVar[str] = "local"
    environment: Mapping[str, str] = field(factory=dict, hash=False)
    host: str = ""

    @property
    def address(self) -> str:
        """The address of this host for processes on it."""
        return "127.0.0.1"


@frozen
class SSHAccess(Access):
    """A host behind SSH.

    Attributes:
        host_keys: public host keys that the provider vouches for, in known_hosts form without the host name.
        proxy_jump: ``user@host:port`` to go through.
        identity: path of the private key that the provider registered; ``None`` for the user's own keys.
        environment: variables that the provider sets for the job.
        private_address: where the other machines of the region reach it; ``""`` for the host's own.
        own: ``True`` for the user's own host, which existed before and stays at its address. The first host key that it shows
            is then bound to the address. The key of a rented machine is bound to the machine, and forgotten when the machine is
            given back, because a cloud gives the address to others. ``None``: own if the provider's spec has the capability
            ``local`` and the machine costs nothing, else rented.
    """

    kind: ClassVar[str] = "ssh"
    host: str
    user: str = "root"
    port: int = 22
    host_keys: tuple[str, ...] = ()
    proxy_jump: str | None = None
    identity: str | None = None
    environment: Mapping[str, str] = field(factory=dict, hash=False)
    private_address: str = ""
    own: bool | None = None

    @property
    def address(self) -> str:
        """Where the other machines of the region reach it."""
        return self.private_address or self.host


@frozen
class CustomAccess(Access):
    """An access of a kind that an installed executor brings; core stores it unchanged.

    Args:
        kind: the word that the executor's spec names in ``access``; core's own kinds are refused.
        data: what that executor needs to find the node: plain JSON, and never a secret, because it is stored in the journal. The
            whole access has at most 8 KiB.
        environment: variables that the provider sets for the job.
        address: where the other nodes of the attempt reach this one.

    Raises:
        ContractViolation: the kind is refused, or the data is no plain JSON or too large.
    """

    kind: str
    data: Mapping[str, Any] = field(factory=dict, hash=False)
    environment: Mapping[str, str] = field(factory=dict, hash=False)
    address: str = ""

    def __attrs_post_init__(self) -> None:
        check_kind(self.kind)
        texts = all(isinstance(one, str) for pair in dict(self.environment).items() for one in pair)
        if not texts or not isinstance(self.address, str):
            raise ContractViolation(f"the access of kind {self.kind!r} has an environment or an address that is no text")
        try:
            plain = json.dumps([dict(self.data), dict(self.environment), self.address], allow_nan=False)
            same = json.loads(plain)[0] == dict(self.data)
        except (TypeError, ValueError, RecursionError) as error:
            raise ContractViolation(f"the access of kind {self.kind!r} is no plain JSON: {error}") from None
        if not same:
            raise ContractViolation(f"the access of kind {self.kind!r} does not come back from JSON as it was")
        if len(plain.encode()) > _MOST_BYTES:
            raise ContractViolation(
                f"the access of kind {self.kind!r} has {len(plain.encode())} bytes, and {_MOST_BYTES} is the most",
                hint="keep what is larger at the provider, and name it here",
            )


_CORE: dict[str, type[LocalAccess] | type[SSHAccess]] = {"local": LocalAccess, "ssh": SSHAccess}
CORE_KINDS = frozenset(_CORE)


def check_kind(kind: object) -> None:
    """Refuse a name that a third party's kind of access cannot have.

    Raises:
        ContractViolation: it is no short word, or it is one of core's own kinds.
    """
    is_word = isinstance(kind, str) and 0 < len(kind) <= _LONGEST_KIND and kind.replace("-", "").isalnum() and kind.isascii()
    if not is_word or kind != str(kind).lower():
        raise ContractViolation(
            f"{kind!r} names no kind of access", hint=f"use 1 to {_LONGEST_KIND} lower-case letters, digits and dashes"
        )
    if kind in CORE_KINDS:
        raise ContractViolation(f"the access kind {kind!r} is core's own", hint=f"return {_CORE[str(kind)].__name__}")


def access_to_dict(access: Access) -> dict[str, object]:
    """The access as JSON keys; ``kind`` names its kind."""
    if isinstance(access, CustomAccess):
        values: dict[str, object] = {
            "data": dict(access.data),
            "environment": dict(access.environment),
            "address": access.address,
        }
        return {"kind": access.kind, **values}
    values = {name: getattr(access, name) for name in fields_dict(_CORE[access.kind])}
    plain = {k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for k, v in values.items()}
    if plain.get("own", "") is None:
        # Earlier versions do not know this key.
        del plain["own"]
    return {"kind": access.kind, **plain}


def access_from_dict(data: Mapping[str, Any]) -> Access:
    """The reverse of `access_to_dict`. The data of a kind that core does not know is kept unread.

    Raises:
        ContractViolation: it names no kind, or a field of core's own kinds is unknown.
    """
    kind, values = str(data.get("kind")), {name: value for name, value in data.items() if name != "kind"}
    try:
        if kind in _CORE:
            own: Callable[..., Access] = _CORE[kind]
            return own(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
        if "data" in values:
            return CustomAccess(kind, **values)
        # The form that earlier versions wrote.
        return CustomAccess(kind, values, values.pop("environment", {}))
    except (KeyError, TypeError) as error:
        raise ContractViolation(f"the record of an access does not hold: {error}") from error
