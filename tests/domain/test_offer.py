"""Offers: what is written reads back."""

from __future__ import annotations

import json

from hypothesis import given
from values import offers

from lepton_sdk.domain.offer import Offer


@given(offers)
def test_an_offer(offer: Offer) -> None:
    assert Offer.from_dict(json.loads(json.dumps(offer.to_dict()))) == offer
