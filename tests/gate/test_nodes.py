"""A node is billed: what is wrong in it is told and left out, and the node itself stays as long as its id can be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from odd import Impostor, broken
from values import nodes

from lepton_sdk._gate.nodes import checked_node
from lepton_sdk.domain.access import CustomAccess, LocalAccess, SSHAccess
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.secret import Secret, redacted

_FINE = Node(
    "acme", "m-1", "t", "me", state="ready", access=SSHAccess("198.51.100.1"), price=Money("3"), provider_data={"op": "o-1"}
)


def checked(value: Any, **more: Any) -> tuple[Node, list[str]]:
    told: list[str] = []
    return checked_node(value, "acme", note=lambda fault: told.append(fault.message), **more), told


def test_a_right_node_comes_back_equal_and_nothing_is_told() -> None:
    assert checked(_FINE) == (_FINE, [])
    own = CustomAccess("slurm", {"job": 17}, {"A": "1"}, "n-1")
    assert checked(broken(_FINE, "access", own))[0].access == own


@given(nodes)
def test_whatever_comes_through_comes_through_again(node: Node) -> None:
    if not node.id or one_line(node.id, 512) != node.id:
        with pytest.raises(ContractViolation, match="id of a node"):
            checked(node, local=True)
        return
    found, _ = checked(node, local=True)
    assert checked(found, local=True) == (found, [])


@pytest.mark.parametrize("make", [lambda: None, lambda: 17, str, lambda: "a\nb", lambda: "x" * 513, Impostor])
def test_without_an_id_there_is_nothing_to_hold(make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(ContractViolation, match="id of a node is"):
        checked(broken(_FINE, "id", value))
    with pytest.raises(ContractViolation, match="the answer is"):
        checked(value)


def test_a_wrong_field_is_left_as_it_was_known() -> None:
    node, told = checked(broken(broken(_FINE, "price", 3.0), "region", 4), known=_FINE)
    assert (node.price, node.region) == (Money("3"), "")
    assert [line.split(" is ")[0] for line in told] == ["region of node 'm-1'", "price of node 'm-1'"]
    # Its state is never what it was: that would be an answer that nobody gave.
    assert checked(broken(_FINE, "state", "ready!"), known=_FINE)[0].state is NodeState.UNKNOWN


def test_this_host_is_the_machine_of_an_own_provider_alone() -> None:
    here = broken(_FINE, "access", LocalAccess())
    assert checked(here, local=True) == (here, [])
    node, (line,) = checked(here)
    assert node.access is None
    assert "access of node 'm-1'" in line


def test_an_access_with_a_secret_in_it_is_refused_because_it_would_stand_in_the_journal() -> None:
    secret = Secret("hunter2-and-more")
    node, (line,) = checked(broken(_FINE, "access", CustomAccess("slurm", {"password": secret.reveal()})))
    assert node.access is None
    # As everything that the engine tells.
    assert secret.reveal() not in redacted(line)


def test_of_what_the_provider_keeps_with_a_node_the_texts_stay() -> None:
    node, told = checked(broken(_FINE, "provider_data", {"op": "o-1", "tries": 3}))
    assert node.provider_data == {"op": "o-1"}
    assert len(told) == 1


def test_an_answer_about_another_node_is_no_answer() -> None:
    with pytest.raises(ContractViolation, match="the answer to a question about m-2"):
        checked(_FINE, known=broken(_FINE, "id", "m-2"))
