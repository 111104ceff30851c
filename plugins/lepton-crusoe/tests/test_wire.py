"""What each reply of the wire means, the signature, the credentials, and what must never be shown."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from lepton_crusoe._credentials import Signature, read_credentials, read_key, sign
from lepton_crusoe._listing import Prices
from lepton_crusoe.plugin import stored
from lepton_crusoe.provider import CrusoeCloud
from lepton_doubles.crusoe_cloud.signature import expected_signature
from lepton_sdk.spi import (
    AuthError,
    BlockScope,
    ConfigError,
    ContractViolation,
    LeptonError,
    NoCapacity,
    Node,
    NodeState,
    OfferGone,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    Secret,
    Unavailable,
)

URL = "https://crusoe.test/v1"
VMS = f"{URL}/projects/00000000-0000-4000-8000-000000000001/compute/vms/instances"
_VECTOR_SECRET = "c2VjcmV0LWtleS1mb3ItdGVzdHM"


@pytest.fixture
def provider(make_provider: Any) -> CrusoeCloud:
    made: CrusoeCloud = make_provider(URL)
    return made


@pytest.fixture
def wire() -> Any:
    """The network as a person sees it who plugs in here: every call is counted, none leaves."""
    with respx.mock(assert_all_called=False) as router:
        for path in ("storage/disks", "networking/ib-partitions"):
            router.get(url__regex=f".*/{path}").respond(json={"items": []})
        yield router


# --- the signature --------------------------------------------------------------------------------------------------


def test_both_sides_sign_as_the_vendor_does(vectors: list[list[str]]) -> None:
    for method, target, timestamp, _, signature in vectors:
        path, _, query = target.partition("?")
        assert sign(read_key(_VECTOR_SECRET), method, path, query, timestamp) == signature
        assert expected_signature(_VECTOR_SECRET, method, target, timestamp) == signature


@pytest.mark.parametrize("query", ["b=2&a=1&b=1", "a=%C3%A9+x&z=%2B%26", "k=", "names=a%2Cb~c-d_e.f", "a=1%3B2"])
def test_both_sides_agree_on_awkward_queries(query: str) -> None:
    ours = sign(read_key(_VECTOR_SECRET), "GET", "/v1/x", query, "2026-11-22T00:00:00Z")
    assert ours == expected_signature(_VECTOR_SECRET, "GET", f"/v1/x?{query}", "2026-11-22T00:00:00Z")


def test_a_signed_request_carries_what_is_published(wire: Any, provider: CrusoeCloud, run_async: Any) -> None:
    route = wire.get(f"{URL}/capacities").respond(json={"items": []})
    run_async(provider._api.capacities())
    headers = route.calls.last.request.headers
    assert headers["authorization"].startswith("Bearer 1.0:double:")
    assert headers["x-crusoe-timestamp"].endswith("Z")
    assert "." not in headers["x-crusoe-timestamp"]


class _MovedClock:
    """A journal that goes by a time of its own, on a host whose wall clock is right."""

    def now(self) -> datetime:
        return self.wall() + timedelta(hours=3)

    def wall(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


def test_a_request_is_signed_by_the_wall_clock() -> None:
    """The vendor holds it against a clock of its own, and the journal's time may stand where a wrong clock once was."""
    signature = Signature("id", read_key(_VECTOR_SECRET), _MovedClock())
    request = next(signature.auth_flow(httpx.Request("GET", "https://api.crusoecloud.com/v1/x")))
    assert request.headers["x-crusoe-timestamp"] == "2026-11-22T00:00:00Z"


# --- refusals -------------------------------------------------------------------------------------------------------

_REPLIES: list[tuple[int, str, str, type[LeptonError], BlockScope]] = [
    (400, "bad_request", "name is too long", ContractViolation, BlockScope.PROVIDER),
    (400, "out_of_stock", "none left", NoCapacity, BlockScope.OFFER),
    (400, "quota_exceeded", "project quota is 8", QuotaExceeded, BlockScope.INSTANCE_TYPE),
    (400, "bad_request", "invalid image", ConfigError, BlockScope.PROVIDER),
    (400, "bad_request", "no such location", OfferGone, BlockScope.OFFER),
    (400, "bad_request", "no such partition", ConfigError, BlockScope.PROVIDER),
    (400, "never-seen", "something new", ContractViolation, BlockScope.PROVIDER),
    (401, "bad_credential", "who are you", AuthError, BlockScope.PROVIDER),
    (403, "unauthorized", "you may not", AuthError, BlockScope.PROVIDER),
    (404, "not_found", "no project", ConfigError, BlockScope.NOTHING),
    (409, "conflict", "name taken", OutcomeUnknown, BlockScope.OFFER),
    (429, "too_many", "slow down", RateLimited, BlockScope.PROVIDER),
    (500, "internal_error", "oops", OutcomeUnknown, BlockScope.OFFER),
    (503, "unavailable", "later", OutcomeUnknown, BlockScope.OFFER),
]


@pytest.mark.parametrize(("status", "code", "message", "kind", "scope"), _REPLIES)
def test_each_refusal_of_a_create_has_its_meaning(
    wire: Any,
    provider: CrusoeCloud,
    take: Any,
    run_async: Any,
    status: int,
    code: str,
    message: str,
    kind: type[LeptonError],
    scope: BlockScope,
) -> None:
    headers = {"x-request-id": "req-7", "retry-after": "9"}
    route = wire.post(VMS).respond(status, json={"code": code, "message": message}, headers=headers)
    with pytest.raises(LeptonError) as caught:
        run_async(take(provider))
    assert type(caught.value) is kind
    assert caught.value.scope is scope
    assert caught.value.provider == "crusoe"
    assert route.call_count == 1
    if kind is not ConfigError or status != 404:
        assert message in caught.value.message
        assert code in caught.value.message
        assert caught.value.request == "req-7"
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == 9


def test_the_error_id_of_the_body_is_kept(wire: Any, provider: CrusoeCloud, run_async: Any) -> None:
    wire.get(f"{URL}/capacities").respond(403, json={"code": "403", "message": "no", "error_id": "err-1", "reason": "role"})
    with pytest.raises(AuthError) as caught:
        run_async(provider._api.capacities())
    assert caught.value.request == "err-1"


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, html="<html>Welcome</html>"),
        httpx.Response(200, text='{"operation": {"operation_id": "o'),
        httpx.Response(200, text=""),
        httpx.Response(502, html="<html>bad gateway</html>"),
        httpx.ReadTimeout("silence"),
        httpx.RemoteProtocolError("cut"),
    ],
    ids=["html", "half", "empty", "gateway", "timeout", "cut"],
)
def test_a_create_without_a_usable_answer_is_unknown_and_not_repeated(
    wire: Any, provider: CrusoeCloud, take: Any, run_async: Any, reply: Any
) -> None:
    route = wire.post(VMS).mock(side_effect=[reply])
    with pytest.raises(OutcomeUnknown):
        run_async(take(provider))
    assert route.call_count == 1


@pytest.mark.parametrize("body", [{}, {"operation": {}}, {"operation": {"operation_id": 7}}, [], {"operation": None}])
def test_a_create_that_is_answered_with_nonsense_is_unknown(
    wire: Any, provider: CrusoeCloud, take: Any, run_async: Any, body: Any
) -> None:
    wire.post(VMS).respond(json=body)
    with pytest.raises(OutcomeUnknown):
        run_async(take(provider))


def test_a_create_that_never_left_is_unavailable(wire: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    wire.post(VMS).mock(side_effect=httpx.ConnectError("refused"))
    with pytest.raises(Unavailable):
        run_async(take(provider))


@pytest.mark.parametrize("metadata", [{"id": "vm-1", "new": 1}, '{"id": "vm-1"}'])
def test_fields_that_are_new_to_us_are_ignored(
    wire: Any, provider: CrusoeCloud, take: Any, run_async: Any, metadata: Any
) -> None:
    operation = {"operation_id": "op-1", "state": "IN_PROGRESS", "metadata": metadata, "progress": 3}
    wire.post(VMS).respond(json={"operation": operation, "trace": "x"})
    assert run_async(take(provider)).id == "vm-1"


# --- absence --------------------------------------------------------------------------------------------------------


def test_a_proxys_404_ends_no_bill(wire: Any, provider: CrusoeCloud, run_async: Any) -> None:
    wire.get(f"{VMS}/vm-1").respond(404, html="<html>not here</html>")
    with pytest.raises(Unavailable, match="404"):
        run_async(provider.release(Node("crusoe", "vm-1")))


def test_a_404_that_the_list_denies_is_not_gone(wire: Any, provider: CrusoeCloud, run_async: Any) -> None:
    wire.get(f"{VMS}/vm-1").respond(404, json={"code": "not_found", "message": "no vm"})
    wire.get(VMS).respond(json={"items": [{"id": "vm-1", "name": "lepton-o-t", "state": "STATE_RUNNING"}]})
    assert run_async(provider.inspect(Node("crusoe", "vm-1"))).state is NodeState.UNKNOWN
    assert run_async(provider.release(Node("crusoe", "vm-1"))).state is NodeState.RELEASING


@pytest.mark.parametrize(("state", "shown"), [("STATE_SHUTOFF", "stopped"), ("STATE_NEW_TO_US", "unknown"), ("", "unknown")])
def test_a_state_that_is_not_gone_is_never_called_gone(
    wire: Any, provider: CrusoeCloud, run_async: Any, state: str, shown: str
) -> None:
    wire.get(f"{VMS}/vm-1").respond(json={"id": "vm-1", "name": "x", "state": state})
    assert run_async(provider.inspect(Node("crusoe", "vm-1"))).state == shown


def test_a_list_that_does_not_end_is_a_fault(wire: Any, provider: CrusoeCloud, run_async: Any) -> None:
    route = wire.get(VMS).respond(json={"items": [], "next_page_token": "again"})
    with pytest.raises(ContractViolation, match="does not end"):
        run_async(provider._api.machines())
    assert route.call_count == 2


@pytest.mark.parametrize("body", [{}, [], {"items": 7}, {"items": [7]}, {"items": [{"name": "x"}]}])
def test_a_list_that_is_none_is_a_fault_and_not_empty(wire: Any, provider: CrusoeCloud, run_async: Any, body: Any) -> None:
    wire.get(VMS).respond(json=body)
    with pytest.raises(ContractViolation):
        run_async(provider._api.machines())


# --- credentials and prices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "secret", "names"),
    [
        ("", "YWJj", "CRUSOE_ACCESS_KEY_ID"),
        ("a b", "YWJj", "CRUSOE_ACCESS_KEY_ID"),
        ("key", "", "CRUSOE_SECRET_KEY"),
        ("key", "YWJjZ", "CRUSOE_SECRET_KEY"),
        ("key", "not base64!", "CRUSOE_SECRET_KEY"),
    ],
)
def test_a_key_that_cannot_be_one_is_named_and_not_shown(access: str, secret: str, names: str) -> None:
    config = {"access_key_id": Secret(access), "secret_key": Secret(secret), "project_id": "p"}
    with pytest.raises(AuthError, match=names) as caught:
        read_credentials(config)
    assert "CRUSOE_SECRET_KEY" in str(caught.value.hint)
    assert not secret or secret not in str(caught.value)


def test_what_the_vendors_own_command_has_stored(own_home: Path) -> None:
    project = "6f1c3a52-0000-4000-8000-000000000007"
    file = own_home / ".crusoe" / "config"
    assert stored(own_home) == (file, {})
    file.parent.mkdir()
    file.write_text(f'[default]\naccess_key_id = "theirs"\nsecret_key = "YWJj"\ndefault_project = "{project}"\n')
    assert stored(own_home)[1] == {"access_key_id": "theirs", "secret_key": "YWJj", "project_id": project}
    file.write_text('profile = "b"\n[b]\nsecret_key = "eHl6"\ndefault_project = "by-name"\n')
    assert stored(own_home)[1] == {"access_key_id": "", "secret_key": "eHl6", "project_id": ""}
    file.write_text("secret_key = unquoted-s3cret")
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        stored(own_home)
    assert "s3cret" not in str(caught.value)


def test_a_project_is_needed_and_must_be_an_id() -> None:
    key = {"access_key_id": Secret("k"), "secret_key": Secret("YWJj")}
    with pytest.raises(ConfigError, match="CRUSOE_PROJECT_ID"):
        read_credentials(key)
    with pytest.raises(ConfigError, match=r"'\.\./x' is not an id"):
        read_credentials({**key, "project_id": "../x"})


@pytest.mark.parametrize("line", ["a100", "a100=", "a100=free", "a100=-1", "a100=0", "a100=NaN", "=3", "a100=inf"])
def test_a_price_that_is_none_is_named(line: str) -> None:
    with pytest.raises(ConfigError, match="is not a name and a price") as caught:
        Prices.read(["l40s-48gb=1.5", line])
    assert repr(line) in caught.value.message


# --- what must not be shown -----------------------------------------------------------------------------------------


def test_no_secret_is_in_a_log_or_a_repr(
    wire: Any, make_provider: Any, context: Any, run_async: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "dGhpcy1pcy1hLXNlY3JldA"
    provider = make_provider(URL, secret_key=Secret(secret))
    wire.get(f"{URL}/capacities").respond(401, json={"code": "bad_credential", "message": f"bad key {secret}"})
    (line,) = run_async(provider.diagnose())
    shown = [caplog.text, repr(provider), repr(vars(provider)), repr(context(URL, secret_key=Secret(secret)))]
    assert secret not in "".join(shown)
    assert "this-is-a-secret" not in "".join(shown)
    assert not line.ok
