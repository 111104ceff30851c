"""The six methods against the double, over real HTTP."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from lepton_lambda.provider import LambdaCloud, create
from lepton_sdk.errors import BlockScope
from lepton_sdk.spi import (
    AuthError,
    Availability,
    ConfigError,
    Gpu,
    Launch,
    Money,
    NoCapacity,
    Node,
    NodeState,
    OfferGone,
    ProviderContext,
    QuotaExceeded,
    SSHAccess,
)

Context = Callable[..., ProviderContext]


async def _found(provider: LambdaCloud, owner: str = "owner1", token: str | None = None) -> list[Node]:
    return [node async for node in provider.find(owner, token)]


def test_offers_are_live(provider: LambdaCloud, offers: Any, run_async: Any) -> None:
    rows = run_async(offers(provider))
    (h100,) = [row for row in rows if row.key[1:3] == ("gpu_8x_h100_sxm5", "us-south-1")]
    assert (h100.gpu, h100.gpu_count, h100.price) == (Gpu("H100", "SXM", 80), 8, Money("31.92"))
    assert (h100.availability, h100.price_source) == (Availability.AVAILABLE, "Lambda Cloud API")
    (none_left,) = [row for row in rows if row.instance_type == "gpu_8x_b200_sxm6"]
    assert (none_left.region, none_left.availability) == ("*", Availability.NO_CAPACITY)


def test_a_life(provider: LambdaCloud, double: Any, take: Any, run_async: Any, announced: Any) -> None:
    async def live() -> list[Node]:
        node = await take(provider)
        (found,) = await _found(provider)
        seen = await provider.inspect(node)
        first, second = await provider.release(node), await provider.release(node)
        return [node, found, seen, first, second]

    node, found, seen, first, second = run_async(live())
    assert (node.owner, node.token, node.state, node.price) == ("owner1", "token1", NodeState.PENDING, Money("1.29"))
    assert (found.id, found.owner, found.token, found.state) == (node.id, "owner1", "token1", NodeState.READY)
    assert found.since is not None
    assert abs((found.since - node.since).total_seconds()) < 1
    assert isinstance(seen.access, SSHAccess)
    assert (seen.access.user, seen.access.host.rpartition(".")[0]) == ("ubuntu", "198.51.100")
    assert [first.state, second.state] == [NodeState.GONE, NodeState.GONE]
    assert double.open() == []
    assert announced == [("ssh-key", "lepton-owner1")]
    assert double.calls().count("POST /instance-operations/terminate") == 1


def test_the_key_pair_is_ours_alone_and_registered_once(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    async def twice() -> Any:
        first = await take(provider, token="t1")
        await take(provider, token="t2")
        return await provider.inspect(first)

    access = run_async(twice()).access
    private = Path(access.identity)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert double.calls().count("POST /ssh-keys") == 1


def test_a_key_of_our_name_with_other_content_is_refused(
    provider: LambdaCloud, double: Any, take: Any, run_async: Any, context: Context
) -> None:
    run_async(take(create(context(double.url, cache="elsewhere"))))
    with pytest.raises(ConfigError, match="SSH key lepton-owner1 that is not the one in") as caught:
        run_async(take(provider, token="t2"))
    assert caught.value.scope is BlockScope.PROVIDER
    assert "delete lepton-owner1 at https://cloud.lambda.ai/ssh-keys" in (caught.value.hint or "")
    assert len(double.open()) == 1


@pytest.mark.parametrize("key", ["double-ke", "double-key2", "x"])
def test_a_wrong_key_is_said_before_anything_is_made(
    double: Any, context: Context, offers: Any, run_async: Any, key: str
) -> None:
    with pytest.raises(AuthError, match="invalid-api-key") as caught:
        run_async(offers(create(context(double.url, key))))
    assert "LAMBDA_API_KEY" in (caught.value.hint or "")
    assert caught.value.request


@pytest.mark.parametrize("trouble", ["global/account-inactive", "global/invalid-address"])
def test_an_account_in_trouble(double: Any, context: Context, take: Any, run_async: Any, trouble: str, provider: Any) -> None:
    run_async(take(provider))
    double.tell("/key", key="poor", account="main", trouble=trouble)
    with pytest.raises(AuthError, match=trouble):
        run_async(take(create(context(double.url, "poor")), token="t2"))
    assert len(double.open()) == 1


def test_a_key_without_the_right_to_see_is_told_by_doctor(double: Any, context: Context, run_async: Any) -> None:
    double.tell("/key", key="blind", account="main", no_instances=True)
    key, instances, quota = run_async(create(context(double.url, "blind")).diagnose())
    assert (key.ok, instances.ok, quota.ok) == (True, False, None)
    assert "global/forbidden" in instances.detail


def test_doctor_costs_nothing(provider: LambdaCloud, double: Any, run_async: Any) -> None:
    assert [line.ok for line in run_async(provider.diagnose())] == [True, True, None]
    assert double.calls() == ["GET /ssh-keys", "GET /instances"]


def test_stock_that_was_promised_and_is_denied(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    double.tell("/settings", deny=True)
    with pytest.raises(NoCapacity) as caught:
        run_async(take(provider))
    assert caught.value.scope is BlockScope.OFFER


def test_a_quota(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    double.tell("/quota", account="main", gpus=7)
    with pytest.raises(QuotaExceeded, match="quota is 7"):
        run_async(take(provider, "gpu_8x_h100_sxm5"))


@pytest.mark.parametrize(("cents", "refused"), [(3192, False), (3351, False), (3352, True), (2000, False)])
def test_a_price_that_rises_between_plan_and_launch(
    double: Any, context: Context, offers: Any, run_async: Any, launch: Launch, cents: int, refused: bool
) -> None:
    planner, launcher = create(context(double.url)), create(context(double.url))
    offer = next(offer for offer in run_async(offers(planner)) if offer.instance_type == "gpu_8x_h100_sxm5")
    double.tell("/price", type="gpu_8x_h100_sxm5", cents=cents)
    if refused:
        with pytest.raises(OfferGone, match=r"planned at \$31\.92 an hour and now costs \$33\.52"):
            run_async(launcher.acquire(offer, launch))
    else:
        node = run_async(launcher.acquire(offer, launch))
        assert node.price == Money(str(cents / 100))
    assert len(double.open()) == (0 if refused else 1)


def test_a_listing_of_a_minute_ago_is_not_asked_again(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    run_async(take(provider))
    assert double.calls() == ["GET /instance-types", "GET /ssh-keys", "POST /ssh-keys", "POST /instance-operations/launch"]


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"region": "moon-1"}, NoCapacity, "moon-1 has no gpu_1x_a10"),
        ({"instance_type": "gpu_9x"}, OfferGone, "no longer sells gpu_9x"),
    ],
)
def test_an_offer_that_does_not_exist(
    provider: LambdaCloud, double: Any, offers: Any, launch: Launch, run_async: Any, change: Any, kind: Any, text: str
) -> None:
    offer = next(offer for offer in run_async(offers(provider)) if offer.instance_type == "gpu_1x_a10")
    with pytest.raises(kind, match=text):
        run_async(provider.acquire(evolve(offer, **change), launch))
    assert "POST /instance-operations/launch" not in double.calls()


@pytest.mark.parametrize("config", [{"image": "no-such-family"}, {"file_systems": ["none"]}])
def test_what_the_settings_name_and_is_not_there(
    double: Any, context: Context, take: Any, run_async: Any, config: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="object-does-not-exist") as caught:
        run_async(take(create(context(double.url, **config))))
    assert caught.value.scope is BlockScope.PROVIDER
    assert str(next(iter(config))) in (caught.value.hint or "")


@pytest.mark.parametrize("change", [{"owner": "o" * 58}, {"token": "t" * 129}])
def test_names_that_are_too_long(provider: LambdaCloud, double: Any, take: Any, run_async: Any, change: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="letters; Lambda takes"):
        run_async(take(provider, **change))
    assert double.calls() == ["GET /instance-types"]


def test_a_long_name_of_a_job_is_cut(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    run_async(take(provider, job_name="j" * 100))
    assert len(double.ask("/instances")[0]["name"]) == 64


def test_a_machine_that_is_not_shown_yet_is_not_gone(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    double.tell("/settings", lag=50)
    node = run_async(take(provider))
    assert run_async(provider.inspect(node)).state is NodeState.PENDING
    assert run_async(provider.release(node)).state is NodeState.RELEASING
    double.tell("/time", skip=50)
    assert run_async(provider.release(node)).state is NodeState.GONE
    assert double.open() == []


def test_another_account_never_makes_a_machine_gone(
    provider: LambdaCloud, double: Any, context: Context, take: Any, run_async: Any
) -> None:
    node = evolve(run_async(take(provider)), since=None)
    double.tell("/key", key="other", account="elsewhere")
    wrong = create(context(double.url, "other"))
    for call in (wrong.inspect(node), wrong.release(node)):
        with pytest.raises(AuthError, match="no SSH key lepton-owner1") as caught:
            run_async(call)
        assert "LAMBDA_API_KEY" in (caught.value.hint or "")
    assert len(double.open()) == 1
    # Core asks for the account before it believes a listing.
    assert run_async(wrong.account()) is None


def test_an_account_has_one_name_for_all_owners_and_for_ever(
    provider: LambdaCloud, double: Any, context: Context, take: Any, run_async: Any
) -> None:
    assert run_async(provider.account()) is None
    run_async(take(provider))
    name = run_async(provider.account())
    assert name
    run_async(take(provider, owner="owner0"))
    assert run_async(create(context(double.url)).account()) == name
    double.tell("/key", key="other", account="elsewhere")
    other = create(context(double.url, "other"))
    run_async(take(other))
    assert run_async(other.account()) not in (None, name)
    assert run_async(provider.account()) == name
    # A key that was deleted and added again by hand is another thing to Lambda, and still ours.
    (key,) = [key for key in run_async(provider._api.ssh_keys()) if key.name == "lepton-owner0"]
    double.tell("/key", key="third", account="third")
    third = create(context(double.url, "third"))
    run_async(third._api.add_ssh_key(key.name, key.public_key))
    assert run_async(third.account()) == name


def test_what_has_lost_its_tags_is_still_ours(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    run_async(take(provider))
    launch = {"region_name": "us-east-1", "instance_type_name": "gpu_1x_a10", "ssh_key_names": ["lepton-owner1"]}
    headers = {"authorization": "Bearer double-key"}
    httpx.post(f"{double.url}/instance-operations/launch", json=launch, headers=headers).raise_for_status()
    tokens = sorted(str(node.token) for node in run_async(_found(provider)))
    assert tokens == ["None", "token1"]
    assert len(run_async(_found(provider, "*"))) == 2
    assert len(run_async(_found(provider, "owner1", "token1"))) == 1
    assert run_async(_found(provider, "owner2")) == []


def test_a_machine_that_is_taken_back_before_it_is_active_is_no_capacity(
    provider: LambdaCloud, double: Any, take: Any, run_async: Any
) -> None:
    double.tell("/settings", boot=600, end=600)
    node = run_async(take(provider))
    assert run_async(provider.inspect(node)).state is NodeState.PENDING
    double.tell("/take-back", id=node.id)
    with pytest.raises(NoCapacity, match=r"gpu_1x_a10 in us-east-1 was given and taken back .*: terminating"):
        run_async(provider.inspect(node))
    assert run_async(provider.release(node)).state is NodeState.RELEASING


def test_a_startup_script_is_user_data(provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    run_async(take(provider, startup_script="#!/bin/sh\ntrue\n"))
    run_async(take(provider, token="t2"))
    bodies = [json.loads(one["request"]) for one in double.exchanges() if one["path"].endswith("/launch")]
    assert [body.get("user_data") for body in bodies] == ["#!/bin/sh\ntrue\n", None]
