"""The refusals of Lambda Cloud: status and code, with the codes of the published API."""

from __future__ import annotations

from lepton_sdk.testing.doubles import Refused

__all__ = ["refused"]

# Where the published API allows several statuses for a code, this is the double's choice.
_STATUS = {
    "global/invalid-api-key": 401,
    "global/account-inactive": 403,
    "global/invalid-address": 403,
    "global/forbidden": 403,
    "global/invalid-parameters": 400,
    "global/object-does-not-exist": 404,
    "global/not-found": 404,
    "global/quota-exceeded": 400,
    "instance-operations/launch/insufficient-capacity": 400,
    "instance-operations/launch/file-system-in-wrong-region": 400,
    # The published API has a rate limit but declares no answer for it: an assumption.
    "global/rate-limited": 429,
}


def refused(code: str, message: str) -> Refused:
    """An error by its code."""
    return Refused(_STATUS.get(code, 400), code, message)
