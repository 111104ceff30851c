"""Aligned columns."""

from __future__ import annotations

from lepton_sdk._text import aligned


def test_columns_are_aligned() -> None:
    text = aligned(("a", "offers"), [("x", "1"), ("long", "100")], right={"offers"})
    assert text == ["a     offers", "x          1", "long     100"]
