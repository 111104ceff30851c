"""What is left, and what the listing says."""

from __future__ import annotations

from lepton_sdk.testing.doubles import Stock


def test_stock_knows_what_it_never_had() -> None:
    stock = Stock({("a", "x"): 1})
    assert (stock.sells("a", "x"), stock.sells("a", "y"), stock.take("a", "y")) == (True, False, False)
    assert stock.take("a", "x")
    stock.give_back("a", "x")
    stock.put("b", "x", 2)
    assert [(place, stock.left(*place)) for place in stock.places()] == [(("a", "x"), 1), (("b", "x"), 2)]
