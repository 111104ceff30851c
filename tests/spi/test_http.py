"""What each answer of a vendor's API means to us."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import respx

from lepton_sdk.errors import (
    AuthError,
    BlockScope,
    ConfigError,
    ContractViolation,
    Disposition,
    LeptonError,
    NoCapacity,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    Unavailable,
)
from lepton_sdk.spi.http import make_client

URL = "https://api.acme.example/v1"
MACHINES = f"{URL}/machines"


def ask(method: str = "GET", url: str = "/machines", *, client: dict[str, Any] | None = None, **options: Any) -> Any:
    async def one() -> Any:
        async with make_client("acme", base_url=URL, **(client or {})) as api:
            return await api.call(method, url, **options)

    return asyncio.run(one())


def refusal(answer: httpx.Response | Exception, method: str = "GET", **options: Any) -> LeptonError:
    with respx.mock as vendor:
        route = vendor.route(method=method, url=MACHINES)
        route.mock(side_effect=answer) if isinstance(answer, Exception) else route.mock(return_value=answer)
        with pytest.raises(LeptonError) as caught:
            ask(method, **options)
        assert route.call_count == 1
    return caught.value


@respx.mock
def test_json_comes_back_and_empty_is_none(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MACHINES).respond(json={"data": [1]})
    respx_mock.delete(MACHINES).respond(204)
    assert ask() == {"data": [1]}
    assert ask("DELETE") is None


@pytest.mark.parametrize("creates", [False, True])
@pytest.mark.parametrize(
    ("status", "expected", "on_create"),
    [
        (301, ContractViolation, ContractViolation),
        (400, ContractViolation, ContractViolation),
        (401, AuthError, AuthError),
        (402, QuotaExceeded, QuotaExceeded),
        (403, AuthError, AuthError),
        (404, ContractViolation, ContractViolation),
        (408, Unavailable, Unavailable),
        (409, Unavailable, OutcomeUnknown),
        (422, ContractViolation, ContractViolation),
        (429, RateLimited, RateLimited),
        (500, Unavailable, OutcomeUnknown),
        (502, Unavailable, OutcomeUnknown),
        (503, Unavailable, OutcomeUnknown),
        (504, Unavailable, OutcomeUnknown),
    ],
)
def test_statuses(status: int, expected: type, on_create: type, creates: bool) -> None:
    answer = httpx.Response(status, json={"error": "no such thing"}, headers={"x-request-id": "r-17"})
    error = refusal(answer, "POST", creates=creates)
    assert type(error) is (on_create if creates else expected)
    assert (error.provider, error.request) == ("acme", "r-17")
    assert f"POST {MACHINES} answered {status}" in error.message
    assert "no such thing" in error.message


def test_an_account_that_cannot_pay_blocks_the_whole_provider() -> None:
    assert refusal(httpx.Response(402)).scope is BlockScope.PROVIDER


@respx.mock
def test_missing_is_the_callers_choice(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(MACHINES).respond(404, json={})
    assert ask(missing=None) is None
    assert ask(missing="gone") == "gone"
    with pytest.raises(ContractViolation):
        ask()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 1998 07:27:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    error = refusal(httpx.Response(429, headers=headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


before = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full"), httpx.ProxyError("no")]
after = [
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.WriteTimeout("slow"),
    httpx.RemoteProtocolError("half"),
    httpx.DecodingError("not gzip"),
]


@pytest.mark.parametrize("error", before, ids=repr)
def test_what_never_left_is_no_unknown_outcome(error: Exception) -> None:
    assert type(refusal(error, "POST", creates=True)) is Unavailable


@pytest.mark.parametrize("error", after, ids=repr)
def test_what_left_without_an_answer_is_unknown_when_it_changes_something(error: Exception) -> None:
    assert type(refusal(error, "POST", creates=True)) is OutcomeUnknown
    assert type(refusal(error, "DELETE")) is OutcomeUnknown
    assert type(refusal(error, "GET")) is Unavailable
    assert type(refusal(error, "POST", reads=True)) is Unavailable
    assert refusal(error, "POST").disposition is Disposition.RECONCILE


@pytest.mark.parametrize(
    "answer",
    [
        {"html": "<html>Sign in</html>"},
        {"text": '{"id": "m-1"'},
        {"content": b"\xff\xfe\x00"},
        {"text": "[" * 100_000},
    ],
)
def test_body_that_is_not_json(answer: dict[str, Any]) -> None:
    assert type(refusal(httpx.Response(200, **answer), "GET")) is ContractViolation
    assert type(refusal(httpx.Response(200, **answer), "POST", creates=True)) is OutcomeUnknown


def test_create_that_answers_nothing_is_unknown() -> None:
    assert type(refusal(httpx.Response(204), "POST", creates=True)) is OutcomeUnknown


def test_author_maps_the_vendors_own_codes_first() -> None:
    def classify(response: httpx.Response, body: Any) -> LeptonError | None:
        out = isinstance(body, dict) and body.get("code") == "out_of_stock"
        return NoCapacity("none left", provider="acme") if out else None

    client = {"classify": classify}
    stock, other = httpx.Response(400, json={"code": "out_of_stock"}), httpx.Response(400, json={"code": "x"})
    assert type(refusal(stock, "POST", creates=True, client=client)) is NoCapacity
    assert type(refusal(other, "POST", creates=True, client=client)) is ContractViolation
    assert type(refusal(httpx.Response(400, text="?"), "POST", client=client)) is ContractViolation


def test_secrets_are_shown_as_dots() -> None:
    client = {"secrets": ["key/1", "key/12", ""]}
    error = refusal(httpx.Response(400, text="key/12 is not key/1, nor key%2F1"), client=client)
    assert "key" not in str(error)
    assert str(error).count("••••••") == 3
    error = refusal(httpx.ReadError("while sending key/12"), client=client)
    assert "key" not in str(error)


def test_query_stands_in_no_error() -> None:
    with respx.mock as vendor:
        vendor.get(MACHINES).respond(500)
        with pytest.raises(Unavailable) as caught:
            ask(url="/machines?token=abc")
    assert "abc" not in str(caught.value)


def test_long_answers_are_cut() -> None:
    assert len(str(refusal(httpx.Response(500, text="x" * 10_000)))) < 600


def test_tls_is_verified_and_nothing_is_repeated() -> None:
    with pytest.raises(ConfigError, match="TLS"):
        make_client("acme", verify=False)
    api = make_client("acme")
    transport = api._transport
    assert isinstance(transport, httpx.AsyncHTTPTransport)
    assert transport._pool._retries == 0
    assert transport._pool._ssl_context is not None
    assert transport._pool._ssl_context.check_hostname
    assert not api.follow_redirects
    assert api.timeout == httpx.Timeout(30, connect=10, pool=10)


def test_url_that_cannot_be_sent_is_a_setting_that_does_not_hold() -> None:
    with pytest.raises(ConfigError):
        ask(url="ftp://elsewhere/x")


class Turns:
    """A pace that writes down who waits."""

    def __init__(self) -> None:
        self.waited: list[str] = []

    async def wait(self, bucket: str = "") -> None:
        self.waited.append(bucket)


@respx.mock
def test_every_request_waits_for_its_turn(respx_mock: respx.MockRouter) -> None:
    respx_mock.route().respond(json={})
    turns = Turns()

    async def story() -> None:
        async with make_client("acme", base_url=URL, pacer=turns) as api:
            await api.call("GET", "/machines")
            await api.call("POST", "/machines", creates=True, bucket="launch")
            await api.get("/machines")

    asyncio.run(story())
    assert turns.waited == ["", "launch", ""]
    assert [call.request.method for call in respx_mock.calls] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("fault", [httpx.ReadTimeout("silence"), httpx.RemoteProtocolError("cut")])
def test_a_lost_answer_to_what_is_free_may_be_asked_again(fault: Exception) -> None:
    assert type(refusal(fault, "POST", free=True)) is Unavailable


def test_a_secret_that_a_long_answer_is_cut_in_is_hidden_before_the_cut() -> None:
    secret = "k-0123456789"
    answer = httpx.Response(400, text="x" * 294 + secret)
    error = refusal(answer, client={"secrets": [secret]})
    assert "k-0123" not in error.message
