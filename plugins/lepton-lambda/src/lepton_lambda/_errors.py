"""What Lambda's error codes mean in our tree. The published API asks to rely on the code alone, so texts are only shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lepton_sdk.spi import (
    AuthError,
    BlockScope,
    ConfigError,
    ContractViolation,
    LeptonError,
    NoCapacity,
    OfferGone,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    Unavailable,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["KEY_HINT", "refusal"]

KEY_HINT = "put a valid key into LAMBDA_API_KEY (or providers.lambda.api_key); make one at https://cloud.lambda.ai/api-keys"

_Meaning = tuple[type[LeptonError], BlockScope, str]
_NO_RIGHT = "use a key of a team member who may do this"
_CODES: dict[str, _Meaning] = {
    "global/invalid-api-key": (AuthError, BlockScope.PROVIDER, KEY_HINT),
    "global/account-inactive": (AuthError, BlockScope.PROVIDER, "activate the account at https://cloud.lambda.ai"),
    "global/invalid-address": (AuthError, BlockScope.PROVIDER, "correct the billing address at https://cloud.lambda.ai/settings"),
    "global/forbidden": (AuthError, BlockScope.PROVIDER, _NO_RIGHT),
    "global/invalid-parameters": (ContractViolation, BlockScope.PROVIDER, "check image, file_systems and firewall_rulesets"),
    "global/not-found": (ConfigError, BlockScope.PROVIDER, "check providers.lambda.base_url"),
    "global/object-does-not-exist": (OfferGone, BlockScope.OFFER, "check image, file_systems and firewall_rulesets"),
    # The published API does not say what a quota counts: other types may still be within it, other regions hardly.
    "global/quota-exceeded": (QuotaExceeded, BlockScope.INSTANCE_TYPE, "ask for a higher quota at https://cloud.lambda.ai"),
    "global/conflict": (Unavailable, BlockScope.OFFER, "another change is under way; try again"),
    "global/duplicate": (Unavailable, BlockScope.OFFER, "something of this name exists already"),
    "instance-operations/launch/insufficient-capacity": (NoCapacity, BlockScope.OFFER, ""),
    "instance-operations/launch/file-system-in-wrong-region": (
        OfferGone,
        BlockScope.REGION,
        "ask for the region of the file system, or take it out of providers.lambda.file_systems",
    ),
    "filesystems/filesystem-in-use": (Unavailable, BlockScope.OFFER, ""),
    "firewall-rulesets/firewall-ruleset-in-use": (Unavailable, BlockScope.OFFER, ""),
}
_TRANSIENT: _Meaning = (Unavailable, BlockScope.PROVIDER, "")
_STRANGE: _Meaning = (ContractViolation, BlockScope.PROVIDER, "report it with this text")


def refusal(response: httpx.Response, body: Any) -> LeptonError | None:
    """The error that a reply stands for; ``None`` where it carries no code of Lambda's, or where its absence is an answer."""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not isinstance(code, str) or response.is_success:
        return None
    launching = response.request.url.path.endswith("/instance-operations/launch")
    if code == "global/object-does-not-exist" and not launching:
        return None
    kind, scope, hint = _meaning(code, response.status_code, launching=launching)
    return _made(kind, scope, hint, error, response)


def _meaning(code: str, status: int, *, launching: bool) -> _Meaning:
    if launching and (status >= 500 or code == "global/internal-error"):
        # Whatever the code says, a fault on their side leaves open whether a machine was made.
        return OutcomeUnknown, BlockScope.OFFER, ""
    if code in _CODES:
        return _CODES[code]
    if status == 429:
        return RateLimited, BlockScope.PROVIDER, ""
    if status in (401, 403):
        return AuthError, BlockScope.PROVIDER, KEY_HINT
    transient = status >= 500 or code == "global/internal-error" or code.startswith("provider/")
    return _TRANSIENT if transient else _STRANGE


def _made(kind: type[LeptonError], scope: BlockScope, hint: str, error: dict[str, Any], response: httpx.Response) -> LeptonError:
    what = f"{response.request.method} {response.request.url.path}"
    text = f"{what}: {error.get('message') or 'refused'} [{error['code']}]"
    said = hint or str(error.get("suggestion") or "")
    request = error.get("request_id") or response.headers.get("x-request-id")
    made = kind(text, provider="lambda", request=str(request) if request else None, hint=said or None)
    made.scope = scope
    if isinstance(made, RateLimited):
        from lepton_sdk.spi.http import retry_after

        made.retry_after = retry_after(response)
    return made
