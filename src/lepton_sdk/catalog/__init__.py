"""Catalog: offers, indexed by GPU model and count. Reference data, a cached and a live market are all catalogs."""

from __future__ import annotations

from lepton_sdk.catalog.index import Catalog, Key, price_order
from lepton_sdk.catalog.prices import check_price
from lepton_sdk.catalog.reference import reference_catalog

__all__ = ["Catalog", "Key", "check_price", "price_order", "reference_catalog"]
