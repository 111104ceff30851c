"""Checks signatures by the published rules alone, without the plugin's own code for signing."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from urllib.parse import parse_qsl, unquote, urlencode

__all__ = ["expected_signature", "why_refused"]

# The vendor publishes no tolerance; this is the double's own.
_TOLERANCE_SECONDS = 300.0


def expected_signature(secret: str, method: str, target: str, timestamp: str) -> str:
    """The signature that the request must carry.

    Args:
        target: the request line's path and query, as sent.
    """
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    ordered = urlencode([(name, value) for name in sorted({name for name, _ in pairs}) for key, value in pairs if key == name])
    message = "".join(f"{line}\n" for line in (unquote(path), ordered, method, timestamp))
    padded = secret.encode() + b"=" * ((4 - len(secret) % 4) % 4)
    digest = hmac.new(base64.urlsafe_b64decode(padded), message.encode("utf-8"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().replace("=", "")


def why_refused(keys: dict[str, str], method: str, target: str, authorization: str, timestamp: str, now: datetime) -> str:
    """Why a request is refused; empty if it is not.

    Args:
        keys: access key id → secret key.
    """
    scheme, _, rest = authorization.partition(" ")
    parts = rest.split(":")
    if scheme != "Bearer" or len(parts) != 3 or parts[0] != "1.0":
        return "no signature"
    if parts[1] not in keys:
        return "unknown access key"
    try:
        sent = datetime.fromisoformat(timestamp)
        off = abs((now - sent).total_seconds())
    except (ValueError, TypeError):
        return "no valid timestamp"
    if off > _TOLERANCE_SECONDS:
        return f"timestamp is {off:.0f} seconds off"
    good = expected_signature(keys[parts[1]], method, target, timestamp)
    return "" if hmac.compare_digest(good, parts[2]) else "signature does not match"
