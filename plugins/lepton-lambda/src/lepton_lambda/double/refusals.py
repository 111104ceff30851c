"""How the double says no: status, code and text, with codes of the published API."""

from __future__ import annotations

from typing import Any

from attrs import frozen

__all__ = ["FIRST_STATUS", "Refused", "Reply", "refused"]

# Where the published API allows several statuses for a code, the one that is used here.
FIRST_STATUS = {
    "global/invalid-api-key": 401,
    "global/account-inactive": 403,
    "global/invalid-address": 403,
    "global/forbidden": 403,
    "global/invalid-parameters": 400,
    "global/object-does-not-exist": 404,
    "global/not-found": 404,
    "global/quota-exceeded": 400,
    "global/internal-error": 500,
    "instance-operations/launch/insufficient-capacity": 400,
    "instance-operations/launch/file-system-in-wrong-region": 400,
    "provider/internal-unavailable": 503,
    # The published API limits the pace and declares no answer for it: an assumption.
    "global/rate-limited": 429,
}


@frozen
class Reply:
    """What goes back: a status and what is written as JSON."""

    status: int
    body: Any


class Refused(Exception):
    """A request that is answered with an error of the API."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body["error"]["code"])
        self.reply = reply


def refused(code: str, message: str, status: int | None = None) -> Refused:
    """An error by its code."""
    error = {"code": code, "message": message, "suggestion": "See the documentation of the double."}
    return Refused(Reply(status or FIRST_STATUS.get(code, 400), {"error": error}))
