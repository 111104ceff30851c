"""How a node is reached. A provider returns an Access; the executor is chosen by its type."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, fields_dict, frozen

from lepton_sdk.errors import ContractViolation

__all__ = ["Access", "KubernetesAccess", "LocalAccess", "SSHAccess", "access_from_dict", "access_to_dict"]


@frozen
class LocalAccess:
    """This host. ``environment`` is what the provider sets for the job (``CUDA_VISIBLE_DEVICES``)."""

    environment: Mapping[str, str] = field(factory=dict, hash=False)
    host: str = ""


@frozen
class SSHAccess:
    """A host behind SSH.

    Attributes:
        host_keys: public host keys that the provider vouches for, in known_hosts form without the host name.
        proxy_jump: ``user@host:port`` to go through.
        identity: path of the private key that the provider registered; ``None`` for the user's own keys.
        environment: what the provider sets for the job.
        private_address: where the other machines of the region reach it; ``""`` for the host's own.
        own: whether it is a host of the user's own, which was there before and stays at its address. The host key that it
            shows first is then bound to the address. That of a rented machine is bound to the machine, and forgotten when it
            is given back, because a cloud hands the address on to others. ``None``: own where the provider's spec has the
            capability ``local`` and the machine costs nothing, else rented.
    """

    host: str
    user: str = "root"
    port: int = 22
    host_keys: tuple[str, ...] = ()
    proxy_jump: str | None = None
    identity: str | None = None
    environment: Mapping[str, str] = field(factory=dict, hash=False)
    private_address: str = ""
    own: bool | None = None


@frozen
class KubernetesAccess:
    """A workload in a cluster, named by context, namespace and object."""

    context: str
    namespace: str
    name: str
    environment: Mapping[str, str] = field(factory=dict, hash=False)


Access = LocalAccess | SSHAccess | KubernetesAccess

_KINDS: dict[str, type[LocalAccess] | type[SSHAccess] | type[KubernetesAccess]] = {
    "local": LocalAccess,
    "ssh": SSHAccess,
    "kubernetes": KubernetesAccess,
}


def access_to_dict(access: Access) -> dict[str, object]:
    """The access as JSON keys; ``kind`` names the type."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(access, cls))
    values = {name: getattr(access, name) for name in fields_dict(type(access))}
    plain = {k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for k, v in values.items()}
    if plain.get("own", "") is None:
        # Earlier versions know no such key.
        del plain["own"]
    return {"kind": kind, **plain}


def access_from_dict(data: Mapping[str, object]) -> Access:
    """The reverse of `access_to_dict`.

    Raises:
        ContractViolation: an unknown kind or field.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"}
    try:
        return _KINDS[str(data.get("kind"))](**values)  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        raise ContractViolation(f"the record of an access does not hold: {error}") from error
