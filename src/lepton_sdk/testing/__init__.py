"""Test help for applications and for authors of plugins: a provider that costs nothing and misbehaves on demand."""

from __future__ import annotations

from lepton_sdk.testing.fake import FAKE_SPEC, FakeProvider, fake_offer

__all__ = ["FAKE_SPEC", "FakeProvider", "fake_offer"]
