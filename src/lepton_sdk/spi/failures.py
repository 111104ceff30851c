"""What a failed call means, whatever carried it: HTTP, gRPC, or the exceptions of a vendor's SDK.

A plugin says what its vendor's exceptions and codes mean; this module knows what every transport has in common. The same meaning
becomes the same error, so that the engine handles both in the same way.

>>> failures = Failures("acme", (ZeroDivisionError, Meaning.NO_STOCK))
>>> with failures(creates=True):
...     1 / 0
Traceback (most recent call last):
    ...
lepton_sdk.errors.NoCapacity: ZeroDivisionError: division by zero (provider acme)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from math import inf
from typing import Any

from attrs import evolve, frozen

from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import (
    AuthError,
    BlockScope,
    ContractViolation,
    LeptonError,
    NoCapacity,
    OfferGone,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    Unavailable,
)

__all__ = ["Failure", "Failures", "Meaning", "failure", "of_grpc", "of_status"]


class Meaning(StrEnum):
    """What a failed call means.

    ``refused``: the credentials, or their rights. ``unpaid``: the account may take nothing. ``no-stock`` and ``no-quota``: this
    offer cannot be taken now. ``gone``: it is not sold any more. ``rate-limited``: make the same call later. ``bad-request``: the
    vendor does not accept the request. ``missing``: the named thing does not exist. ``conflict``: the name is taken, or another
    change is under way. ``unsent``: the call certainly did nothing. ``unavailable``: the vendor failed. ``lost``: the call left,
    and no answer came. ``garbled``: an answer came that cannot be read.
    """

    REFUSED = "refused"
    UNPAID = "unpaid"
    NO_STOCK = "no-stock"
    NO_QUOTA = "no-quota"
    GONE = "gone"
    RATE_LIMITED = "rate-limited"
    BAD_REQUEST = "bad-request"
    MISSING = "missing"
    CONFLICT = "conflict"
    UNSENT = "unsent"
    UNAVAILABLE = "unavailable"
    LOST = "lost"
    GARBLED = "garbled"


@frozen
class Failure:
    """What one exception means.

    Attributes:
        text: what happened, for people; ``""`` for the exception's own words.
        request: the vendor's id of the call.
        retry_after: seconds that the vendor asked for.
        hint: the next step.
        scope: how much of the market it blocks; ``None`` for the scope of the error's class.
    """

    meaning: Meaning
    text: str = ""
    request: str | None = None
    retry_after: float | None = None
    hint: str = ""
    scope: BlockScope | None = None


_KINDS: Mapping[Meaning, type[LeptonError]] = {
    Meaning.REFUSED: AuthError,
    Meaning.UNPAID: QuotaExceeded,
    Meaning.NO_STOCK: NoCapacity,
    Meaning.NO_QUOTA: QuotaExceeded,
    Meaning.GONE: OfferGone,
    Meaning.RATE_LIMITED: RateLimited,
    Meaning.BAD_REQUEST: ContractViolation,
    Meaning.MISSING: ContractViolation,
    Meaning.CONFLICT: Unavailable,
    Meaning.UNSENT: Unavailable,
    Meaning.UNAVAILABLE: Unavailable,
    Meaning.LOST: Unavailable,
    Meaning.GARBLED: ContractViolation,
}
# After these nobody knows whether a create call has created something. A conflict is about names, and the name carries our
# token: the thing in the way may be the machine of a lost answer.
_OPEN = frozenset({Meaning.CONFLICT, Meaning.UNAVAILABLE, Meaning.LOST, Meaning.GARBLED})


def failure(found: Failure, provider: str | None, *, creates: bool = False, changes: bool = False) -> LeptonError:
    """The error for a failure.

    Args:
        creates: the call creates something billable. A failure that leaves open whether it was created is an unknown outcome.
        changes: the call changes something. A lost answer is an unknown outcome.
    """
    is_open = (creates and found.meaning in _OPEN) or (changes and found.meaning is Meaning.LOST)
    kind = OutcomeUnknown if is_open else _KINDS[found.meaning]
    error = kind(found.text, provider=provider, request=found.request, hint=found.hint or None)
    if isinstance(error, RateLimited):
        error.retry_after = found.retry_after
    if isinstance(error, AuthError) and not error.hint:
        error.hint = f"check the credentials of {provider} with 'lepton doctor'"
    if found.meaning is Meaning.UNPAID:
        error.scope = BlockScope.PROVIDER
    if found.scope is not None:
        error.scope = found.scope
    return error


# --- what transports have in common -----------------------------------------------------------------------------------

_STATUS = {401: Meaning.REFUSED, 402: Meaning.UNPAID, 403: Meaning.REFUSED, 404: Meaning.MISSING, 408: Meaning.UNSENT}
_STATUS |= {409: Meaning.CONFLICT, 429: Meaning.RATE_LIMITED}

# The codes of google.rpc, by name; their numbers are their places. A code may mean two things: a plugin that knows more says so.
_GRPC: Mapping[str, Meaning | None] = {
    "OK": None,
    "CANCELLED": Meaning.LOST,
    "UNKNOWN": Meaning.UNAVAILABLE,
    "INVALID_ARGUMENT": Meaning.BAD_REQUEST,
    "DEADLINE_EXCEEDED": Meaning.LOST,
    "NOT_FOUND": Meaning.MISSING,
    "ALREADY_EXISTS": Meaning.CONFLICT,
    "PERMISSION_DENIED": Meaning.REFUSED,
    "RESOURCE_EXHAUSTED": Meaning.RATE_LIMITED,
    "FAILED_PRECONDITION": Meaning.BAD_REQUEST,
    "ABORTED": Meaning.CONFLICT,
    "OUT_OF_RANGE": Meaning.BAD_REQUEST,
    "UNIMPLEMENTED": Meaning.BAD_REQUEST,
    "INTERNAL": Meaning.UNAVAILABLE,
    "UNAVAILABLE": Meaning.UNAVAILABLE,
    "DATA_LOSS": Meaning.UNAVAILABLE,
    "UNAUTHENTICATED": Meaning.REFUSED,
}

# Exception classes by name, so that no library must be installed: httpx, requests, urllib3, aiohttp, botocore, the
# standard library. Of a class and its bases, the most specific one counts.
_CLASSES: Mapping[str, Meaning] = {
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"), Meaning.REFUSED),
    **dict.fromkeys(
        ("ConnectError", "ConnectTimeout", "PoolTimeout", "NewConnectionError", "ConnectTimeoutError"), Meaning.UNSENT
    ),
    **dict.fromkeys(("EndpointConnectionError", "ProxyConnectionError", "ProxyError", "ClientConnectorError"), Meaning.UNSENT),
    **dict.fromkeys(("ConnectionRefusedError", "gaierror", "SSLCertVerificationError"), Meaning.UNSENT),
    **dict.fromkeys(("ReadTimeout", "ReadTimeoutError", "ServerDisconnectedError", "ConnectionClosedError"), Meaning.LOST),
    **dict.fromkeys(("RequestError", "RequestException", "HTTPClientError", "ClientConnectionError"), Meaning.LOST),
    **dict.fromkeys(("TimeoutError", "ConnectionError"), Meaning.LOST),
    "JSONDecodeError": Meaning.GARBLED,
}


def of_status(status: int) -> Meaning:
    """The meaning of an HTTP status that is not a success."""
    return _STATUS.get(status, Meaning.UNAVAILABLE if status >= 500 else Meaning.BAD_REQUEST)


def of_grpc(code: object) -> Meaning | None:
    """The meaning of a gRPC status: a ``grpc.StatusCode``, its name, or its number. ``None`` for success and for other values.

    >>> of_grpc("ALREADY_EXISTS"), of_grpc(14)
    (<Meaning.CONFLICT: 'conflict'>, <Meaning.UNAVAILABLE: 'unavailable'>)
    """
    name = getattr(code, "name", code)
    if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(_GRPC):
        name = list(_GRPC)[name]
    return _GRPC.get(name) if isinstance(name, str) else None


# --- what a plugin says -----------------------------------------------------------------------------------------------

Said = Meaning | Failure | None
Row = tuple[type[Exception], "Meaning | Failure | Callable[[Any], Said]"]


class Failures:
    """What the exceptions of one vendor's SDK mean; used as ``with failures(creates=True):`` around its calls.

    Rows are tried in order. A row that matches and answers ``None`` leaves the exception to the next row, and finally to the
    general rules for gRPC codes, HTTP statuses and connections. An exception that no rule knows is raised as it is: a bug.

    Args:
        provider: the name that errors carry.
        rows: pairs of an exception class and its meaning, or a function from the exception to its meaning.
        codes: the vendor's own error codes, for exceptions that carry one as botocore's do.
    """

    def __init__(self, provider: str, *rows: Row, codes: Mapping[str, Meaning] | None = None) -> None:
        self._provider, self._rows, self._codes = provider, rows, codes or {}

    @contextmanager
    def __call__(self, *, creates: bool = False, changes: bool = False) -> Iterator[None]:
        """Turn the vendor's errors into ours.

        Args:
            creates: the call creates something billable.
            changes: the call changes something.
        """
        try:
            yield
        except LeptonError:
            raise
        except Exception as error:
            found = self.read(error)
            if found is None:
                raise
            raise failure(found, self._provider, creates=creates, changes=changes or creates) from error

    def read(self, error: Exception) -> Failure | None:
        """The meaning of an exception; ``None`` when no rule knows it."""
        found = self._said(error)
        return found and evolve(found, text=found.text or _words(error))

    def _said(self, error: Exception) -> Failure | None:
        known = _known(error, self._codes)
        for cls, said in self._rows:
            if not isinstance(error, cls):
                continue
            answer = said if isinstance(said, Meaning | Failure) else said(error)
            if isinstance(answer, Failure):
                return answer
            if answer is not None:
                return evolve(known, meaning=answer) if known is not None else Failure(answer)
        return known


def _known(error: Exception, codes: Mapping[str, Meaning]) -> Failure | None:
    """The meaning of an exception by its attributes."""
    if (answer := getattr(error, "response", None)) is not None and (found := _of_answer(answer, codes)) is not None:
        return found
    code = getattr(error, "code", None)
    meaning = of_grpc(_called(code))
    if meaning is None:
        meaning = next((_CLASSES[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _CLASSES), None)
    return None if meaning is None else Failure(meaning)


def _called(code: Any) -> object:
    try:
        return code() if callable(code) else code
    except Exception:
        return None


def _of_answer(answer: Any, codes: Mapping[str, Meaning]) -> Failure | None:
    """The meaning of an exception's ``response``: botocore's dict, or an object with a status and headers."""
    if isinstance(answer, Mapping):
        about, what = _dict(answer.get("ResponseMetadata")), _dict(answer.get("Error"))
        status, headers, code = about.get("HTTPStatusCode"), _dict(about.get("HTTPHeaders")), what.get("Code")
        request = about.get("RequestId")
    else:
        status = getattr(answer, "status_code", getattr(answer, "status", None))
        headers, code, request = getattr(answer, "headers", {}), None, None
    meaning = codes.get(code) if isinstance(code, str) else None
    if meaning is None and isinstance(status, int) and status >= 300:
        meaning = of_status(status)
    return None if meaning is None else Failure(meaning, request=str(request) if request else None, retry_after=_seconds(headers))


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _seconds(headers: Any) -> float | None:
    try:
        seconds = float(headers.get("retry-after"))
    except Exception:
        return None
    return seconds if 0 <= seconds < inf else None


def _words(error: Exception) -> str:
    try:
        text = one_line(str(error))
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
