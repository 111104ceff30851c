"""Nodes: they are billed, so none whose id can be used is hidden because something else in it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, get_args

from lepton_sdk._gate.values import Check, Wrong, amount, is_a, kind, mapping, maybe, name, pairs, part_of, time, violation, words
from lepton_sdk.domain.access import Access, access_to_dict
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.errors import ContractViolation

__all__ = ["checked_node"]

_LONGEST_ID = 512
# What a provider keeps in the journal with a node.
_MOST_DATA = 65_536
_LONGEST_ACCESS = 8192


def _access(value: Any) -> Access:
    """How it is reached, as far as types go; the executor looks closer."""
    if not is_a(value, get_args(Access)):
        raise Wrong("write an access such as SSHAccess(host=...), or None until it can be reached")
    try:
        length = _length(access_to_dict(value))
    except Exception:
        length = inf
    if length > _LONGEST_ACCESS:
        raise Wrong(f"write texts, numbers and tuples of texts, {_LONGEST_ACCESS} characters in all")
    found: Access = value
    return found


def _length(value: Any) -> float:
    """How long a value of texts and numbers is, written out; without end where something else is in it."""
    if value is None or is_a(value, int):
        return 8
    if is_a(value, str):
        return len(value)
    if is_a(value, dict):
        return sum(_length(key) + _length(item) for key, item in value.items())
    return sum(map(_length, value)) if is_a(value, list) else inf


_NODE: Mapping[str, tuple[Check, Any]] = {
    "token": (maybe(name(_LONGEST_ID)), None),
    "owner": (maybe(name(_LONGEST_ID)), None),
    "kind": (name(64), "machine"),
    "state": (kind(NodeState), NodeState.UNKNOWN),
    "access": (maybe(_access), None),
    "instance_type": (words(200), ""),
    "region": (words(200), ""),
    "price": (maybe(amount), None),
    "since": (maybe(time), None),
    "detail": (words(), ""),
    "provider_data": (mapping(_MOST_DATA), {}),
}


def _nobody(_: ContractViolation) -> None:
    """Nobody is told."""


def checked_node(
    value: Any, provider: str, known: Node | None = None, note: Callable[[ContractViolation], object] = _nobody
) -> Node:
    """The same node, made again from plain values. What is wrong in it stays as it is known, or is left out.

    Args:
        known: the node that was asked about.
        note: is told each thing that is wrong and was put right here.

    Raises:
        ContractViolation: it is no node, its id cannot name anything, or it is not the one that was asked about.
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
    for part, (check, usual) in _NODE.items():
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
    """What of the provider's own data is text: without it the node might not be released."""
    found = pairs(given)
    if found is None or sum(len(key) + len(text) for key, text in found.items()) > _MOST_DATA:
        return usual
    return found
