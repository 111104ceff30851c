"""The engine over the fake cloud."""

from __future__ import annotations

from rented import cloud, make_client, make_job

__all__ = ["cloud", "make_client", "make_job"]
