"""The HTTP client that providers get: our time limits, our name, and no retries of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

__all__ = ["open_http"]

_CONNECT, _REST = 10.0, 30.0


def open_http(**options: Any) -> httpx.AsyncClient:
    """An ``httpx.AsyncClient``; ``options`` go to httpx and win over our defaults.

    A redirect is not followed: a vendor's API that answers one to a create call would get our key at another address.
    """
    from importlib.metadata import version

    import httpx

    headers = {"user-agent": f"lepton-sdk/{version('lepton-sdk')}", **dict(options.pop("headers", None) or {})}
    options.setdefault("timeout", httpx.Timeout(_REST, connect=_CONNECT))
    return httpx.AsyncClient(headers=headers, **options)
