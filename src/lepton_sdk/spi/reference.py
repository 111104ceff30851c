"""The embedded list prices, for plugins whose vendor's API states none."""

from __future__ import annotations

from lepton_sdk.domain.offer import Offer

__all__ = ["reference_offers"]


def reference_offers(provider: str) -> tuple[Offer, ...]:
    """The list prices of one provider that ship with the SDK.

    Each row's ``price_source`` begins with ``reference:`` and says where and when it was read. An offer with a price from
    this list must keep that text, so that everybody sees how old the price is.

    >>> reference_offers("nobody")
    ()
    """
    from lepton_sdk.catalog import reference_catalog

    return tuple(offer for offer in reference_catalog() if offer.provider == provider)
