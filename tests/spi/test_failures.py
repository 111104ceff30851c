"""One meaning, one error, whatever carried the failure: gRPC, an SDK with codes of its own, HTTP."""

from __future__ import annotations

import json
import socket
from enum import Enum
from typing import Any

import httpx
import pytest

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
from lepton_sdk.spi.failures import Failure, Failures, Meaning, failure, of_grpc, of_status


class StatusCode(Enum):
    """As in grpc: the value is a number and a word."""

    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    ALREADY_EXISTS = (6, "already exists")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    UNAVAILABLE = (14, "unavailable")
    UNAUTHENTICATED = (16, "unauthenticated")


class RpcError(Exception):
    """As in grpc: the code is asked for by a call. The details are what a vendor packs into its status."""

    def __init__(self, code: StatusCode, *details: str) -> None:
        super().__init__(f"<AioRpcError {code.name}>")
        self._code, self.details = code, details

    def code(self) -> StatusCode:
        return self._code


class ClientError(Exception):
    """As botocore's."""

    def __init__(self, code: str, status: int, **headers: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling the RunInstances operation: so it is")
        self.response = {
            "Error": {"Code": code, "Message": "so it is"},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-17", "HTTPHeaders": headers},
        }


class EndpointConnectionError(Exception):
    """As botocore's: its host was not reached."""


def raised(failures: Failures, error: Exception, **call: bool) -> Any:
    with pytest.raises(Exception) as caught, failures(**call):
        raise error
    return caught.value


_DETAILS = {"NotEnoughResources": Meaning.NO_STOCK, "QuotaFailure": Meaning.NO_QUOTA, "TooManyRequests": Meaning.RATE_LIMITED}
GRPC = Failures("acme", (RpcError, lambda error: next((_DETAILS[one] for one in error.details if one in _DETAILS), None)))


@pytest.mark.parametrize(
    ("code", "details", "on_read", "on_create"),
    [
        (StatusCode.RESOURCE_EXHAUSTED, ["NotEnoughResources"], NoCapacity, NoCapacity),
        (StatusCode.RESOURCE_EXHAUSTED, ["QuotaFailure"], QuotaExceeded, QuotaExceeded),
        (StatusCode.RESOURCE_EXHAUSTED, [], RateLimited, RateLimited),
        (StatusCode.UNAUTHENTICATED, ["unheard of"], AuthError, AuthError),
        (StatusCode.INVALID_ARGUMENT, [], ContractViolation, ContractViolation),
        (StatusCode.ALREADY_EXISTS, [], Unavailable, OutcomeUnknown),
        (StatusCode.DEADLINE_EXCEEDED, [], Unavailable, OutcomeUnknown),
        (StatusCode.UNAVAILABLE, [], Unavailable, OutcomeUnknown),
    ],
)
def test_grpc(code: StatusCode, details: list[str], on_read: type, on_create: type) -> None:
    error: Any = raised(GRPC, RpcError(code, *details))
    assert error.provider == "acme"
    assert error.message == f"RpcError: <AioRpcError {code.name}>"
    assert type(error.__cause__) is RpcError
    assert type(error) is on_read
    assert type(raised(GRPC, RpcError(code, *details), creates=True)) is on_create


def test_grpc_codes_by_name_by_number_and_by_enum_are_one() -> None:
    for code in StatusCode:
        assert of_grpc(code) is of_grpc(code.name) is of_grpc(code.value[0]) is not None
    for nothing in ("OK", 0, 17, -1, True, None, "ok", "404", 2.0, object()):
        assert of_grpc(nothing) is None


SDK = Failures(
    "acme",
    codes={
        "InsufficientInstanceCapacity": Meaning.NO_STOCK,
        "VcpuLimitExceeded": Meaning.NO_QUOTA,
        "Unsupported": Meaning.GONE,
        "RequestLimitExceeded": Meaning.RATE_LIMITED,
    },
)


@pytest.mark.parametrize(
    ("error", "on_read", "on_create"),
    [
        (ClientError("InsufficientInstanceCapacity", 500), NoCapacity, NoCapacity),
        (ClientError("VcpuLimitExceeded", 400), QuotaExceeded, QuotaExceeded),
        (ClientError("Unsupported", 400), OfferGone, OfferGone),
        (ClientError("RequestLimitExceeded", 503), RateLimited, RateLimited),
        (ClientError("AuthFailure", 401), AuthError, AuthError),
        (ClientError("UnheardOf", 400), ContractViolation, ContractViolation),
        (ClientError("InternalError", 500), Unavailable, OutcomeUnknown),
        (EndpointConnectionError("no host"), Unavailable, Unavailable),
    ],
    ids=str,
)
def test_an_sdk_with_codes_of_its_own(error: Exception, on_read: type, on_create: type) -> None:
    assert type(raised(SDK, error)) is on_read
    made = raised(SDK, error, creates=True)
    assert made.request == ("r-17" if isinstance(error, ClientError) else None)
    assert type(made) is on_create


def test_a_slower_pace_comes_with_its_seconds() -> None:
    assert raised(SDK, ClientError("RequestLimitExceeded", 503, **{"retry-after": "7"})).retry_after == 7.0
    assert raised(SDK, ClientError("RequestLimitExceeded", 503, **{"retry-after": "soon"})).retry_after is None


def _status(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "https://api.acme.example/machines")
    return httpx.HTTPStatusError(f"{status}", request=request, response=httpx.Response(status, headers={"retry-after": "3"}))


@pytest.mark.parametrize(
    ("error", "on_read", "on_change", "on_create"),
    [
        (_status(429), RateLimited, RateLimited, RateLimited),
        (_status(503), Unavailable, Unavailable, OutcomeUnknown),
        (_status(402), QuotaExceeded, QuotaExceeded, QuotaExceeded),
        (httpx.ConnectError("refused"), Unavailable, Unavailable, Unavailable),
        (httpx.ReadTimeout("silence"), Unavailable, OutcomeUnknown, OutcomeUnknown),
        (ConnectionRefusedError(111, "refused"), Unavailable, Unavailable, Unavailable),
        (socket.gaierror(-2, "no such name"), Unavailable, Unavailable, Unavailable),
        (ConnectionResetError(104, "reset"), Unavailable, OutcomeUnknown, OutcomeUnknown),
        (TimeoutError("silence"), Unavailable, OutcomeUnknown, OutcomeUnknown),
        (json.JSONDecodeError("no", "<html>", 0), ContractViolation, ContractViolation, OutcomeUnknown),
    ],
    ids=repr,
)
def test_what_every_transport_has_in_common_needs_no_word(
    error: Exception, on_read: type, on_change: type, on_create: type
) -> None:
    plain = Failures("acme")
    assert type(raised(plain, error)) is on_read
    assert type(raised(plain, error, changes=True)) is on_change
    assert type(raised(plain, error, creates=True)) is on_create


def test_the_first_row_that_knows_speaks_and_one_that_does_not_leaves_it_to_the_next() -> None:
    failures = Failures(
        "acme",
        (LookupError, lambda error: None),
        (
            KeyError,
            Failure(Meaning.NO_QUOTA, "the quota is used up", "r-1", hint="ask", scope=BlockScope.INSTANCE_TYPE),
        ),
        (LookupError, Meaning.NO_STOCK),
    )
    error = raised(failures, KeyError("x"))
    assert isinstance(error, QuotaExceeded)
    assert (error.message, error.request, error.hint, error.scope) == (
        "the quota is used up",
        "r-1",
        "ask",
        BlockScope.INSTANCE_TYPE,
    )
    assert isinstance(raised(failures, IndexError("x")), NoCapacity)


def test_what_nobody_knows_and_what_is_ours_passes_as_it_is() -> None:
    bug, ours = ValueError("a bug"), OfferGone("not sold")
    assert raised(GRPC, bug, creates=True) is bug
    assert raised(GRPC, ours, creates=True) is ours
    assert GRPC.read(bug) is None


def test_an_absence_can_be_asked_for() -> None:
    found = Failures("acme").read(ClientError("InvalidInstanceID.NotFound", 404))
    assert found is not None
    assert found.meaning is Meaning.MISSING


@pytest.mark.parametrize("meaning", list(Meaning))
@pytest.mark.parametrize("creates", [False, True])
def test_every_meaning_has_an_error_and_only_an_open_one_is_unknown(meaning: Meaning, creates: bool) -> None:
    error = failure(Failure(meaning, "so it is"), "acme", creates=creates, changes=creates)
    is_open = meaning in {Meaning.CONFLICT, Meaning.UNAVAILABLE, Meaning.LOST, Meaning.GARBLED}
    assert isinstance(error, LeptonError)
    assert isinstance(error, OutcomeUnknown) == (creates and is_open)
    assert error.scope is BlockScope.PROVIDER or meaning is not Meaning.UNPAID
    assert of_status(599) is Meaning.UNAVAILABLE


def test_an_exception_that_breaks_when_it_is_looked_at_is_a_bug_like_others() -> None:
    class Broken(Exception):
        response = None

        def code(self) -> Any:
            raise RuntimeError("no code")

        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert isinstance(raised(Failures("acme"), Broken()), Broken)
    assert raised(Failures("acme", (Broken, Meaning.NO_STOCK)), Broken()).message == "Broken"
