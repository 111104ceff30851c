"""The fixture distributions, installed for real."""

from __future__ import annotations

from distributions import installed, python

__all__ = ["installed", "python"]
