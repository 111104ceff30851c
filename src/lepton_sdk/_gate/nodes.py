"""Checks nodes. A node is billed, so it is never hidden while its id is usable, whatever else in it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from lepton_sdk._gate.values import Check, Wrong, amount, is_a, kind, mapping, maybe, name, pairs, part_of, time, violation, words
from lepton_sdk.domain.access import Access, CustomAccess, LocalAccess, SSHAccess, access_from_dict, access_to_dict
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.secret import redacted

__all__ = ["checked_node"]

_LONGEST_ID = 512
# The size limit of a provider's own data in the journal, for one node.
_MOST_DATA = 65_536
_LONGEST_ACCESS = 8192


def _access(value: Any) -> Access:
    """Its access, rebuilt from plain JSON, as the journal does."""
    if not any(type(value) is one for one in (LocalAccess, SSHAccess, CustomAccess)):
        raise Wrong("write SSHAccess(host=...), CustomAccess(kind, ...), or None until it can be reached")
    try:
        plain = json.dumps(access_to_dict(value), allow_nan=False)
        found = access_from_dict(json.loads(plain))
        is_right = _has_right_types(found)
    except Exception:
        is_right, plain = False, ""
    if not is_right or len(plain) > _LONGEST_ACCESS:
        raise Wrong(f"write plain JSON, {_LONGEST_ACCESS} characters in all")
    # The path of a key file may hold any word.
    told = json.dumps(access_to_dict(evolve(found, identity=None) if isinstance(found, SSHAccess) else found))
    if redacted(told) != told:
        raise Wrong("leave every secret out: an access stands in the journal")
    return found


def _has_right_types(access: Access) -> bool:
    if not all(is_a(one, str) for pair in access.environment.items() for one in pair):
        return False
    if isinstance(access, SSHAccess):
        texts = [access.host, access.user, access.private_address, access.proxy_jump or "", access.identity or ""]
        texts += access.host_keys
        is_port = is_a(access.port, int) and not is_a(access.port, bool) and 0 <= access.port < 65_536
        return is_port and all(is_a(text, str) for text in texts) and (access.own is None or is_a(access.own, bool))
    return True


def _nowhere_local(value: Any) -> Access:
    found = _access(value)
    if isinstance(found, LocalAccess):
        raise Wrong("declare the capability 'local', or say how the machine is reached: only own hosts are this host")
    return found


_NODE: dict[str, tuple[Check, Any]] = {
    "token": (maybe(name(_LONGEST_ID)), None),
    "owner": (maybe(name(_LONGEST_ID)), None),
    "kind": (name(64), "machine"),
    "state": (kind(NodeState), NodeState.UNKNOWN),
    "access": (maybe(_nowhere_local), None),
    "instance_type": (words(200), ""),
    "region": (words(200), ""),
    "price": (maybe(amount), None),
    "since": (maybe(time), None),
    "detail": (words(), ""),
    "provider_data": (mapping(_MOST_DATA), {}),
}


def _nobody(_: ContractViolation) -> None:
    """The default: discard notes."""


def checked_node(
    value: Any,
    provider: str,
    known: Node | None = None,
    note: Callable[[ContractViolation], object] = _nobody,
    *,
    local: bool = False,
) -> Node:
    """The same node, rebuilt from plain values. A wrong field keeps its known value, or is left out.

    Args:
        known: the node that core asked about.
        local: whether the provider's nodes may be this host.
        note: called with each fault that was corrected here.

    Raises:
        ContractViolation: it is not a node, its id is not usable, or it is not the node that core asked about.
    """
    if not is_a(value, Node):
        raise violation("the answer", value, "give back an object of lepton_sdk.spi.Node", provider)
    given = part_of(value, "id")
    try:
        values: dict[str, Any] = {"provider": provider, "id": name(_LONGEST_ID)(given)}
    except Wrong as wrong:
        raise violation("id of a node", given, str(wrong), provider) from None
    label = f"node {values['id']!r}"
    if known is not None and values["id"] != known.id:
        raise violation(f"the answer to a question about {known.id}", given, "give back the node that was asked about", provider)
    told = part_of(value, "provider")
    wrongs = [] if is_a(told, str) and str.__str__(told) == provider else [("provider", told, f"write {provider!r}")]
    for part, (check, usual) in (_NODE | ({"access": (maybe(_access), None)} if local else {})).items():
        given = part_of(value, part)
        try:
            values[part] = check(given)
        except Wrong as wrong:
            wrongs.append((part, given, str(wrong)))
            values[part] = getattr(known, part) if known is not None and part != "state" else usual
            if part == "provider_data":
                values[part] = _kept(given, values[part])
    for part, given, fix in wrongs:
        note(violation(f"{part} of {label}", given, fix, provider))
    return Node(**values)


def _kept(given: Any, usual: Mapping[str, str]) -> Mapping[str, str]:
    """The text entries of the provider's own data: without them the node might not be released."""
    found = pairs(given)
    if found is None or sum(len(key) + len(text) for key, text in found.items()) > _MOST_DATA:
        return usual
    return found
