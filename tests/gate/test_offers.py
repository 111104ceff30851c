"""An offer is made again from plain values, or left out with the field that is wrong."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from odd import Impostor, broken
from values import offers

from lepton_sdk._gate.offers import Faults, checked_offer
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, Terms, TermsKind
from lepton_sdk.errors import ContractViolation

_FINE = Offer("acme", "big", "north-1", price=Money("3"), seen_at=datetime(2026, 1, 1, tzinfo=UTC), availability="available")


def test_a_right_offer_comes_back_equal() -> None:
    assert checked_offer(_FINE, "acme") == _FINE
    reserved = Offer("acme", "big", "north-1", terms=Terms(TermsKind.RESERVED, 12))
    assert checked_offer(reserved, "acme") == reserved


@given(offers)
def test_whatever_comes_through_comes_through_again(offer: Offer) -> None:
    found: Offer | None = None
    with suppress(ContractViolation):
        found = checked_offer(offer, offer.provider)
    assert found is None or checked_offer(found, offer.provider) == found


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("instance_type", 4, "instance_type of an offer is 4 (int)"),
        ("region", None, "region of offer 'big' is None (NoneType)"),
        ("gpu", "L4", "gpu of offer 'big' is 'L4' (str)"),
        ("gpu_count", -1, "gpu_count of offer 'big' is -1 (int)"),
        ("terms", "spot", "terms of offer 'big' is 'spot' (str)"),
        ("price", 3.0, "price of offer 'big' is 3.0 (float)"),
        ("flags", ["a"], "flags of offer 'big' is"),
        ("reference", "no", "reference of offer 'big' is 'no' (str)"),
        ("provider", "bolt", "provider of offer 'big' is 'bolt' (str)"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(field: str, value: Any, words: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        checked_offer(broken(_FINE, field, value), "acme")
    assert caught.value.message.startswith(words)
    assert (caught.value.hint or "").startswith("write ")


def test_what_breaks_whatever_touches_it_is_wrong() -> None:
    with pytest.raises(ContractViolation, match="provider of offer 'big' is something of type Impostor"):
        checked_offer(broken(_FINE, "provider", Impostor()), "acme")


def test_what_is_no_offer_is_told_as_such() -> None:
    with pytest.raises(ContractViolation, match="an offer is 'big'"):
        checked_offer("big", "acme")


def test_many_faults_are_one_line_about_the_first() -> None:
    faults = Faults("acme")
    assert faults.summed("offer") is None
    first = ContractViolation("region of offer 'a' is None", hint="write a text")
    faults.note(first)
    faults.note(ContractViolation("price of offer 'b' is 3.0"))
    summed = faults.summed("offer")
    assert summed is not None
    assert summed.message == "2 offers are left out, the first because region of offer 'a' is None"
    assert summed.hint == "write a text"
