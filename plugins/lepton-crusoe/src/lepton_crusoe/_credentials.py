"""The credentials: key pair and project, and the request signature as Crusoe publishes it.

A signature is an HMAC over path, query,
method and time; the body is not signed.

>>> key = read_key("c2VjcmV0LWtleS1mb3ItdGVzdHM")
>>> sign(key, "GET", "/v1/capacities", "", "2026-11-22T00:00:00Z")
'yaUnaraEyOoXAkPFW7qGsidfQ4CjLVguvK45bysdcHc'
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Generator, Mapping
from urllib.parse import quote_plus, unquote, unquote_plus

import httpx
from attrs import field, frozen

from lepton_crusoe._api import KEY_HINT
from lepton_sdk.spi import AuthError, Clock, ConfigError, Secret

__all__ = ["Credentials", "Signature", "canonical_query", "read_credentials", "read_key", "sign"]


@frozen
class Credentials:
    """The credentials for signing requests."""

    access_key_id: str = field(repr=False)
    key: bytes = field(repr=False)
    project: str


def read_credentials(config: Mapping[str, object]) -> Credentials:
    """Key and project, checked as far as possible without a call.

    Args:
        config: the provider's own section.

    Raises:
        AuthError: one half of the key is missing or malformed.
        ConfigError: no project is named.
    """
    access, secret, project = (_plain(config.get(name)) for name in ("access_key_id", "secret_key", "project_id"))
    return Credentials(_access_key(access), _secret_key(secret), _project(project))


def _plain(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value or "")


def _access_key(text: str) -> str:
    if not text:
        raise AuthError("there is no access key: CRUSOE_ACCESS_KEY_ID is empty", provider="crusoe", hint=KEY_HINT)
    if not text.isascii() or not text.isprintable() or " " in text or ":" in text:
        raise AuthError("CRUSOE_ACCESS_KEY_ID has letters that no access key has", provider="crusoe", hint=KEY_HINT)
    return text


def _secret_key(text: str) -> bytes:
    if not text:
        raise AuthError("there is no secret key: CRUSOE_SECRET_KEY is empty", provider="crusoe", hint=KEY_HINT)
    try:
        return read_key(text)
    except ValueError:
        # Without the cause: its text could contain part of the secret.
        raise AuthError(
            "CRUSOE_SECRET_KEY is no secret key: it is not base64url, so it was cut off or mistyped",
            provider="crusoe",
            hint=KEY_HINT,
        ) from None


def _project(text: str) -> str:
    if not text:
        raise ConfigError(
            "no project is named: CRUSOE_PROJECT_ID and providers.crusoe.project_id are empty",
            provider="crusoe",
            hint="crusoe projects list shows the ids",
        )
    if not text.isascii() or not text.replace("-", "").isalnum():
        raise ConfigError(
            f"providers.crusoe.project_id: {text!r} is not an id", provider="crusoe", hint="write the id, not the project's name"
        )
    return text


# --- signing ----------------------------------------------------------------------------------------------------------


def read_key(secret: str) -> bytes:
    """The bytes of a secret key.

    Raises:
        ValueError: it is empty or not base64url without padding.
    """
    key = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True)
    # One letter too many, or surplus bits in the last letter, means a truncated copy.
    if not key or base64.urlsafe_b64encode(key).rstrip(b"=").decode() != secret:
        raise ValueError("it is not base64url without padding")
    return key


def canonical_query(query: str) -> str:
    """The pairs sorted by name, values of one name in their order, escaped as Go's ``url.Values.Encode`` does.

    >>> canonical_query("names=a%20b,c&limit=2")
    'limit=2&names=a+b%2Cc'
    """
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    plain = sorted(((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs), key=lambda pair: pair[0])
    return "&".join(f"{quote_plus(name, safe='')}={quote_plus(value, safe='')}" for name, value in plain)


def sign(key: bytes, method: str, path: str, query: str, timestamp: str) -> str:
    """The signature of one request.

    Args:
        path: unescaped, with the API's prefix (``/v1/capacities``).
        query: as sent, without the question mark.
        timestamp: RFC 3339 in whole seconds.
    """
    message = f"{path}\n{canonical_query(query)}\n{method}\n{timestamp}\n"
    return base64.urlsafe_b64encode(hmac.digest(key, message.encode(), "sha256")).rstrip(b"=").decode()


class Signature(httpx.Auth):
    """Signs each request when it leaves."""

    def __init__(self, access_key_id: str, key: bytes, clock: Clock) -> None:
        self._id = access_key_id
        self._key = key
        self._clock = clock

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the two headers."""
        # The vendor checks it against its own clock, so use this host's wall clock, not the journal's time.
        timestamp = getattr(self._clock, "wall", self._clock.now)().strftime("%Y-%m-%dT%H:%M:%SZ")
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        signature = sign(self._key, request.method, unquote(path), query, timestamp)
        request.headers["X-Crusoe-Timestamp"] = timestamp
        request.headers["Authorization"] = f"Bearer 1.0:{self._id}:{signature}"
        yield request
