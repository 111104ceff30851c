"""Access: a third party's kind is plain JSON that core keeps unread, and core's own kinds are nobody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import accesses

from lepton_sdk.domain.access import CORE_KINDS, Access, CustomAccess, SSHAccess, access_from_dict, access_to_dict, check_kind
from lepton_sdk.errors import ContractViolation


@given(accesses)
def test_every_access_comes_back_from_its_record(access: Access) -> None:
    assert access_from_dict(json.loads(json.dumps(access_to_dict(access)))) == access


def test_a_record_of_a_kind_that_nobody_knows_is_kept_unread() -> None:
    record = {"kind": "slurm", "data": {"job": 17, "parts": [1, None]}, "environment": {"A": "1"}, "address": "n1"}
    access = access_from_dict(record)
    assert access == CustomAccess("slurm", {"job": 17, "parts": [1, None]}, {"A": "1"}, "n1")
    assert access_to_dict(access) == record
    # As versions before 0.1 wrote what is now a kind of a third party: its fields stood side by side.
    earlier = access_from_dict({"kind": "kubernetes", "namespace": "ml", "pod": "p-1", "environment": {"A": "1"}})
    assert earlier == CustomAccess("kubernetes", {"namespace": "ml", "pod": "p-1"}, {"A": "1"})


@pytest.mark.parametrize("kind", sorted(CORE_KINDS))
def test_cores_kinds_cannot_be_claimed(kind: str) -> None:
    with pytest.raises(ContractViolation, match=f"the access kind '{kind}' is core's own") as caught:
        CustomAccess(kind)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["", "Slurm", "a b", "a/b", "ä", "x" * 33, None, 3])
def test_a_kind_is_a_short_word(kind: Any) -> None:
    with pytest.raises(ContractViolation, match="names no kind of access"):
        check_kind(kind)


@pytest.mark.parametrize(
    "parts",
    [
        {"data": {"price": float("nan")}},
        {"data": {"set": {1}}},
        {"data": {1: "a key that is no text"}},
        {"data": {"pair": (1, 2)}},
        {"environment": {"A": 1}},
        {"address": None},
    ],
    ids=["nan", "a set", "a number as a key", "a tuple", "a variable that is no text", "no address"],
)
def test_what_does_not_come_back_from_json_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(ContractViolation, match="the access of kind 'slurm'"):
        CustomAccess("slurm", **parts)


def test_data_that_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with pytest.raises(ContractViolation, match="no plain JSON"):
        CustomAccess("slurm", ring)


@given(st.integers(0, 200))
def test_an_access_has_8_kib_at_most(beyond: int) -> None:
    frame = len(json.dumps([{"a": ""}, {}, ""]))
    assert CustomAccess("slurm", {"a": "x" * (8192 - frame)}).kind == "slurm"
    with pytest.raises(ContractViolation, match="8192 is the most"):
        CustomAccess("slurm", {"a": "x" * (8193 - frame + beyond)})


def test_an_unknown_field_of_cores_own_kind_is_refused() -> None:
    with pytest.raises(ContractViolation, match="does not hold"):
        access_from_dict({"kind": "ssh", "host": "h", "colour": "red"})


def test_the_address_for_other_nodes_is_the_private_one_where_there_is_one() -> None:
    assert SSHAccess("203.0.113.1").address == "203.0.113.1"
    assert SSHAccess("203.0.113.1", private_address="10.0.0.1").address == "10.0.0.1"
