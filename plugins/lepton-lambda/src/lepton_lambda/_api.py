"""The calls of Lambda Cloud API 1.10.0 that this plugin makes, one attempt each; and what refusals mean in our tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lepton_lambda._models import Instance, SshKey, Stock, take
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

    from lepton_sdk.spi.http import ApiClient

__all__ = ["KEY_HINT", "LambdaApi", "refusal"]

# Lambda's ids are 32 hexadecimal digits. Other characters could turn the id into another path.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class LambdaApi:
    """One account, seen through one key.

    Args:
        client: calls ``base_url``, authorised, at the rates of the spec.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def instance_types(self) -> dict[str, Stock]:
        """Every type by its name, with the regions that have capacity now."""
        data = take(await self._client.call("GET", "/instance-types"), "data", dict)
        return {name: Stock.read(item) for name, item in data.items()}

    async def instances(self) -> list[Instance]:
        """Every machine of the account; one page holds all."""
        return [Instance.read(item) for item in take(await self._client.call("GET", "/instances"), "data", list)]

    async def instance(self, name: str) -> Instance | None:
        """One machine; ``None`` if the account has none with this id."""
        body = await self._client.call("GET", f"/instances/{quote(name, safe='')}", missing=None)
        return None if body is None else Instance.read(take(body, "data", dict))

    async def launch(self, request: Mapping[str, Any]) -> str:
        """Create one machine.

        Returns:
            Its id.

        Raises:
            OutcomeUnknown: the answer did not come, or names no machine.
        """
        body = await self._client.call("POST", "/instance-operations/launch", bucket="launch", creates=True, json=request)
        try:
            ids = take(take(body, "data", dict), "instance_ids", list)
        except ContractViolation as error:
            raise OutcomeUnknown(
                f"the launch was answered with what cannot be read: {error.message}", provider="lambda"
            ) from error
        if len(ids) != 1 or not isinstance(ids[0], str) or not _ID.fullmatch(ids[0]):
            raise OutcomeUnknown(f"the launch of one machine was answered with the ids {ids!r}", provider="lambda")
        return ids[0]

    async def terminate(self, name: str) -> Instance | None:
        """Terminate a machine; ``None`` if the account has none with this id."""
        # Terminating twice does no harm, so a lost answer is not an unknown outcome: `reads` makes it retryable.
        body = await self._client.call(
            "POST", "/instance-operations/terminate", reads=True, missing=None, json={"instance_ids": [name]}
        )
        ended = [] if body is None else take(take(body, "data", dict), "terminated_instances", list)
        return next((Instance.read(item) for item in ended if take(item, "id", str) == name), None)

    async def ssh_keys(self) -> list[SshKey]:
        """Every registered key."""
        return [SshKey.read(item) for item in take(await self._client.call("GET", "/ssh-keys"), "data", list)]

    async def add_ssh_key(self, name: str, public_key: str) -> SshKey:
        """Register a key; keys are free of charge."""
        request = {"name": name, "public_key": public_key}
        body = await self._client.call("POST", "/ssh-keys", free=True, json=request)
        return SshKey.read(take(body, "data", dict))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


# --- refusals ---------------------------------------------------------------------------------------------------------

# The published API asks clients to rely on the code alone, so texts are only shown.
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
    # The published API does not say what a quota counts: other types may still fit, other regions probably not.
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
    """The error for a reply; ``None`` if it has no code of Lambda's, or if "not found" is an answer."""
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
        # Whatever the code, a server fault leaves open whether a machine was created.
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
