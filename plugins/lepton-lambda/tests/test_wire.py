"""Calls and answers, each by itself: codes, states, shapes, and one attempt per call."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx

from lepton_lambda.provider import LambdaCloud, create
from lepton_sdk.errors import (
    AuthError,
    BlockScope,
    ConfigError,
    ContractViolation,
    Disposition,
    LeptonError,
    NoCapacity,
    OfferGone,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    Unavailable,
)
from lepton_sdk.spi import Node, NodeState, ProviderContext, SSHAccess

_URL = "https://lambda.example/api/v1"
_LAUNCH = f"{_URL}/instance-operations/launch"
_BODY = {"region_name": "r", "instance_type_name": "t", "ssh_key_names": ["k"]}
Context = Callable[..., ProviderContext]


@pytest.fixture
def cloud(context: Context) -> LambdaCloud:
    return create(context(_URL))


def _error(code: str, **more: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "said so", **more}}


def _type(**more: Any) -> dict[str, Any]:
    specs = {"vcpus": 30, "memory_gib": 226, "storage_gib": 1331, "gpus": 1}
    gpu = "A10 (24 GB PCIe)"
    return {
        "name": "gpu_1x_a10",
        "description": "",
        "gpu_description": gpu,
        "price_cents_per_hour": 129,
        "specs": specs,
        **more,
    }


def _instance(**more: Any) -> dict[str, Any]:
    return {
        "id": "i1",
        "status": "active",
        "ip": "198.51.100.2",
        "ssh_key_names": ["lepton-me"],
        "file_system_names": [],
        "region": {"name": "us-east-1", "description": ""},
        "instance_type": _type(),
        "actions": {},
        "tags": [{"key": "lepton-owner", "value": "me"}, {"key": "lepton-token", "value": "t1"}],
        **more,
    }


_CODES = [
    ("global/invalid-api-key", 401, AuthError, BlockScope.PROVIDER),
    ("global/account-inactive", 403, AuthError, BlockScope.PROVIDER),
    ("global/invalid-address", 403, AuthError, BlockScope.PROVIDER),
    ("global/forbidden", 403, AuthError, BlockScope.PROVIDER),
    ("global/invalid-parameters", 400, ContractViolation, BlockScope.PROVIDER),
    ("global/object-does-not-exist", 400, OfferGone, BlockScope.OFFER),
    ("global/object-does-not-exist", 404, OfferGone, BlockScope.OFFER),
    ("global/not-found", 404, ConfigError, BlockScope.PROVIDER),
    ("global/quota-exceeded", 400, QuotaExceeded, BlockScope.INSTANCE_TYPE),
    ("global/conflict", 409, Unavailable, BlockScope.OFFER),
    ("global/duplicate", 400, Unavailable, BlockScope.OFFER),
    ("instance-operations/launch/insufficient-capacity", 400, NoCapacity, BlockScope.OFFER),
    ("instance-operations/launch/file-system-in-wrong-region", 400, OfferGone, BlockScope.REGION),
    ("filesystems/filesystem-in-use", 400, Unavailable, BlockScope.OFFER),
    ("firewall-rulesets/firewall-ruleset-in-use", 400, Unavailable, BlockScope.OFFER),
    ("global/internal-error", 500, OutcomeUnknown, BlockScope.OFFER),
    ("provider/internal-unavailable", 503, OutcomeUnknown, BlockScope.OFFER),
    ("provider/quota", 400, Unavailable, BlockScope.PROVIDER),
    ("brand/new", 418, ContractViolation, BlockScope.PROVIDER),
    ("brand/new", 403, AuthError, BlockScope.PROVIDER),
    ("brand/new", 429, RateLimited, BlockScope.PROVIDER),
]


@respx.mock
@pytest.mark.parametrize(("code", "status", "kind", "scope"), _CODES)
def test_each_code_has_its_place(
    cloud: LambdaCloud, run_async: Any, code: str, status: int, kind: type[LeptonError], scope: BlockScope
) -> None:
    route = respx.post(_LAUNCH).respond(status, json=_error(code, request_id="req-7"))
    with pytest.raises(kind) as caught:
        run_async(cloud._api.launch(_BODY))
    error = caught.value
    assert (type(error), error.scope, error.request, error.provider) == (kind, scope, "req-7", "lambda")
    assert code in error.message
    assert "said so" in error.message
    assert route.call_count == 1


@respx.mock
@pytest.mark.parametrize(("code", "status"), [("global/internal-error", 500), ("provider/out", 503), ("new", 502)])
def test_a_fault_of_theirs_is_tried_again_where_nothing_was_made(
    cloud: LambdaCloud, run_async: Any, code: str, status: int
) -> None:
    respx.get(f"{_URL}/instance-types").respond(status, json=_error(code))
    with pytest.raises(Unavailable) as caught:
        run_async(cloud._api.instance_types())
    assert caught.value.disposition is Disposition.RETRY_SAME


@respx.mock
def test_a_limit_of_pace_says_how_long(cloud: LambdaCloud, run_async: Any) -> None:
    respx.post(_LAUNCH).respond(429, json=_error("global/rate-limited"), headers={"retry-after": "17"})
    with pytest.raises(RateLimited) as caught:
        run_async(cloud._api.launch(_BODY))
    assert caught.value.retry_after == 17


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, html="<html>Bad Gateway</html>"),
        httpx.Response(200, html="<html>Welcome</html>"),
        httpx.Response(200),
        httpx.Response(200, json={"data": 7}),
        httpx.Response(200, json={"data": {"instance_ids": []}}),
        httpx.Response(200, json={"data": {"instance_ids": ["a", "b"]}}),
        httpx.Response(200, json={"data": {"instance_ids": [None]}}),
        httpx.ReadTimeout("silence"),
        httpx.RemoteProtocolError("cut"),
    ],
)
def test_a_launch_without_a_usable_answer_is_unknown(cloud: LambdaCloud, run_async: Any, answer: Any) -> None:
    route = respx.post(_LAUNCH).mock(side_effect=[answer])
    with pytest.raises(OutcomeUnknown) as caught:
        run_async(cloud._api.launch(_BODY))
    assert caught.value.disposition is Disposition.RECONCILE
    assert route.call_count == 1


@respx.mock
def test_a_launch_that_did_not_get_out_is_not_unknown(cloud: LambdaCloud, run_async: Any) -> None:
    respx.post(_LAUNCH).mock(side_effect=httpx.ConnectError("no route"))
    with pytest.raises(Unavailable) as caught:
        run_async(cloud._api.launch(_BODY))
    assert not isinstance(caught.value, OutcomeUnknown)


@respx.mock
def test_a_termination_whose_answer_is_lost_is_tried_again(cloud: LambdaCloud, run_async: Any) -> None:
    respx.post(f"{_URL}/instance-operations/terminate").mock(side_effect=httpx.ReadTimeout("silence"))
    with pytest.raises(Unavailable) as caught:
        run_async(cloud._api.terminate("i1"))
    assert caught.value.disposition is Disposition.RETRY_SAME


@respx.mock
@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("booting", NodeState.PENDING),
        ("active", NodeState.READY),
        ("unhealthy", NodeState.FAILED),
        ("terminating", NodeState.RELEASING),
        ("terminated", NodeState.GONE),
        ("preempted", NodeState.INTERRUPTED),
        ("levitating", NodeState.UNKNOWN),
    ],
)
def test_states(cloud: LambdaCloud, run_async: Any, status: str, state: NodeState) -> None:
    respx.get(f"{_URL}/instances/i1").respond(json={"data": _instance(status=status)})
    node = run_async(cloud.inspect(Node("lambda", "i1")))
    assert node.state is state
    assert (node.access is not None) == (state is NodeState.READY)
    assert (node.owner, node.token) == ("me", "t1")


@respx.mock
def test_an_active_machine_without_address_cannot_be_reached_yet(cloud: LambdaCloud, run_async: Any) -> None:
    respx.get(f"{_URL}/instances/i1").respond(json={"data": _instance(ip=None)})
    assert run_async(cloud.inspect(Node("lambda", "i1"))).state is NodeState.PENDING


@respx.mock
def test_how_it_is_reached_is_configured(context: Context, run_async: Any) -> None:
    cloud = create(context(_URL, ssh_user="me", ssh_port=2201))
    respx.get(f"{_URL}/instances/i1").respond(json={"data": _instance()})
    assert run_async(cloud.inspect(Node("lambda", "i1"))).access == SSHAccess("198.51.100.2", "me", 2201)


@respx.mock
def test_fields_of_the_future_are_passed_over(cloud: LambdaCloud, run_async: Any) -> None:
    item = {
        "instance_type": _type(colour="green"),
        "regions_with_capacity_available": [{"name": "r", "description": "", "moon": 1}],
    }
    respx.get(f"{_URL}/instance-types").respond(json={"data": {"gpu_1x_a10": item | {"new": []}}, "page": None})
    stock = run_async(cloud._api.instance_types())
    assert stock["gpu_1x_a10"].regions == ("r",)


@respx.mock
@pytest.mark.parametrize(
    "change",
    [{"price_cents_per_hour": "129"}, {"price_cents_per_hour": True}, {"specs": None}, {"name": 7}, {"gpu_description": None}],
)
def test_a_shape_that_is_not_the_published_one_is_named(cloud: LambdaCloud, run_async: Any, change: dict[str, Any]) -> None:
    item = {"instance_type": _type(**change), "regions_with_capacity_available": []}
    respx.get(f"{_URL}/instance-types").respond(json={"data": {"gpu_1x_a10": item}})
    with pytest.raises(ContractViolation, match=next(iter(change))):
        run_async(cloud._api.instance_types())


@respx.mock
@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"image": "lambda-stack-24-04"}, {"image": {"family": "lambda-stack-24-04"}}),
        ({"image": "43336648-096d-4cba-9aa2-f9bb7727639d"}, {"image": {"id": "43336648-096d-4cba-9aa2-f9bb7727639d"}}),
        ({"file_systems": ["data"]}, {"file_system_names": ["data"]}),
        ({"firewall_rulesets": ["f1"]}, {"firewall_rulesets": [{"id": "f1"}]}),
    ],
)
def test_options_go_into_the_launch(
    context: Context, run_async: Any, take: Any, config: dict[str, Any], sent: dict[str, Any]
) -> None:
    item = {"instance_type": _type(), "regions_with_capacity_available": [{"name": "us-east-1", "description": ""}]}
    respx.get(f"{_URL}/instance-types").respond(json={"data": {"gpu_1x_a10": item}})
    respx.get(f"{_URL}/ssh-keys").respond(json={"data": []})
    respx.post(f"{_URL}/ssh-keys").respond(json={"data": {"id": "k", "name": "lepton-owner1", "public_key": "k"}})
    route = respx.post(_LAUNCH).respond(json={"data": {"instance_ids": ["i1"]}})
    run_async(take(create(context(_URL, **config))))
    request = json.loads(route.calls.last.request.content)
    assert {name: request[name] for name in sent} == sent
    assert "quantity" not in request
