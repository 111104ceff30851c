"""What Crusoe's refusals mean in our tree.

The published API declares ``{code, message}`` and the statuses 400, 401, 403 and 500. Words such as ``out_of_stock`` are
not in it: they are read where they are seen, and listed among the assumptions of the README.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from lepton_sdk.spi import (
    AuthError,
    BlockScope,
    ConfigError,
    ContractViolation,
    LeptonError,
    NoCapacity,
    OfferGone,
    QuotaExceeded,
    Unavailable,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["KEY_HINT", "failure", "refusal"]

KEY_HINT = (
    "put a valid pair into CRUSOE_ACCESS_KEY_ID and CRUSOE_SECRET_KEY "
    "(or providers.crusoe.access_key_id and .secret_key, or ~/.crusoe/config)"
)
_RIGHTS_HINT = (
    "give the key's user a role in the project of providers.crusoe.project_id that may do this, or name another project"
)
_SKEW_SECONDS = 30.0

_Meaning = tuple[type[LeptonError], BlockScope, str]
# Words in the vendor's code or text, the most telling first.
_WORDS: tuple[tuple[tuple[str, ...], _Meaning], ...] = (
    (("out_of_stock", "out of stock", "insufficient capacity", "no capacity"), (NoCapacity, BlockScope.OFFER, "")),
    (("quota",), (QuotaExceeded, BlockScope.INSTANCE_TYPE, "ask Crusoe for more, or give back what runs: lepton nodes")),
    (("image",), (ConfigError, BlockScope.PROVIDER, "check providers.crusoe.image; crusoe compute images list shows the names")),
    (("project",), (ConfigError, BlockScope.PROVIDER, "check providers.crusoe.project_id; crusoe projects list shows the ids")),
    (("partition",), (ConfigError, BlockScope.PROVIDER, "check providers.crusoe.ib_partition")),
    (("location", "type"), (OfferGone, BlockScope.OFFER, "plan again with lepton route --live")),
)
_STRANGE: _Meaning = (ContractViolation, BlockScope.PROVIDER, "report it with this text")


def refusal(response: httpx.Response, body: Any) -> LeptonError | None:
    """The error that a reply stands for; ``None`` to leave it to the general table of statuses."""
    code, message = _said(body)
    status = response.status_code
    if status == 401:
        return _error(AuthError, response, body, _key_hint(response))
    if status == 403:
        return _error(AuthError, response, body, _RIGHTS_HINT)
    if status == 404 and not code:
        # Only the vendor's own "not found" may count as an absence: a proxy's page must not make machines vanish.
        return _error(Unavailable, response, body, "is providers.crusoe.base_url right, and no proxy in between?")
    if status == 400 and code:
        kind, scope, hint = _meaning(f"{code} {message}")
        error = _error(kind, response, body, hint)
        error.scope = scope
        return error
    return None


def failure(code: str, message: str, operation: str) -> LeptonError:
    """The error that a failed operation stands for."""
    kind, scope, hint = _meaning(f"{code} {message}")
    kind, scope = (Unavailable, BlockScope.OFFER) if kind is ContractViolation else (kind, scope)
    error = kind(
        f"the operation failed: {message or 'no reason given'} [{code}]", provider="crusoe", request=operation, hint=hint or None
    )
    error.scope = scope
    return error


def _meaning(text: str) -> _Meaning:
    low = text.lower()
    return next((meaning for words, meaning in _WORDS if any(word in low for word in words)), _STRANGE)


def _said(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        return "", ""
    return str(body.get("code") or body.get("reason") or ""), str(body.get("message") or "")


def _error(kind: type[LeptonError], response: httpx.Response, body: Any, hint: str) -> LeptonError:
    code, message = _said(body)
    what = f"{response.request.method} {response.request.url.path} answered {response.status_code}"
    text = f"{what}: {message or 'no reason given'}" + (f" [{code}]" if code else "")
    request = body.get("error_id") if isinstance(body, dict) else None
    request = request or response.headers.get("x-request-id")
    return kind(text, provider="crusoe", request=str(request) if request else None, hint=hint or None)


def _key_hint(response: httpx.Response) -> str:
    """A clock that is off makes a good key fail, and the vendor's own clock is in every reply."""
    try:
        theirs = parsedate_to_datetime(response.headers.get("date", ""))
        ours = datetime.fromisoformat(response.request.headers.get("x-crusoe-timestamp", ""))
        skew = (ours - theirs.astimezone(UTC)).total_seconds()
    except (TypeError, ValueError):
        return KEY_HINT
    if abs(skew) < _SKEW_SECONDS:
        return KEY_HINT
    way = "ahead" if skew > 0 else "behind"
    return f"this host's clock is {abs(skew):.0f} seconds {way}, and requests are signed with it: set it right"
