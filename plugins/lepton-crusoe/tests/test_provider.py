"""A machine's life over real HTTP, against the double in a process of its own."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_crusoe.provider import CrusoeCloud
from lepton_sdk.spi import (
    AuthError,
    Availability,
    ConfigError,
    Money,
    NoCapacity,
    NodeState,
    Offer,
    OfferGone,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    Resources,
    SSHAccess,
)
from lepton_sdk.testing import SystemClock

H100 = "h100-80gb-sxm-ib.8x"


async def _offers(provider: CrusoeCloud) -> dict[tuple[str, str], Offer]:
    return {(offer.instance_type, offer.region): offer async for offer in provider.offers(Resources())}


async def _found(provider: CrusoeCloud, owner: str = "owner1", token: str | None = None) -> list[Any]:
    return [node async for node in provider.find(owner, token)]


def test_offers_are_counted_and_priced_by_the_user(double: Any, make_provider: Any, run_async: Any) -> None:
    double.tell("/stock", type="a100-80gb.1x", region="us-east1-a", left=0)
    provider = make_provider(double.url, prices=["h100-80gb-sxm-ib=3.90", "a100-80gb.2x=4.60"])
    offers = run_async(_offers(provider))
    best = offers[H100, "us-east1-a"]
    assert (best.gpu_count, best.available_count, best.interconnect) == (8, 2, "InfiniBand")
    assert best.gpu is not None
    assert (best.gpu.model, best.gpu.form_factor, best.gpu.memory_gib) == ("H100", "SXM", 80)
    assert best.price == Money("31.2")
    assert best.price_source == "config providers.crusoe.prices"
    assert offers["a100-80gb.2x", "us-east1-a"].price == Money("4.6")
    assert offers["a100-80gb.1x", "us-east1-a"].availability is Availability.NO_CAPACITY
    listed = offers["l40s-48gb.1x", "us-east1-a"]
    assert listed.price is not None
    assert listed.price_source.startswith("reference: ")
    assert not listed.reference
    unpriced = offers["c1a.4x", "us-east1-a"]
    assert (unpriced.gpu, unpriced.price) == (None, None)
    assert unpriced.price_source.startswith("none:")


def test_an_empty_quota_is_shown_and_refuses(double: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    double.tell("/settings", quota=0)
    offers = run_async(_offers(provider))
    assert offers[H100, "us-east1-a"].availability is Availability.NO_QUOTA
    with pytest.raises(QuotaExceeded, match="quota of l40s-48gb is 0"):
        run_async(take(provider))


def test_a_life_from_acquire_to_gone(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, until: Any, tmp_path: Path
) -> None:
    async def live() -> None:
        node = await take(provider)
        assert (node.state, node.owner, node.token) == (NodeState.PENDING, "owner1", "token1")
        ready = await until(lambda: provider.inspect(node), lambda n: n.state is NodeState.READY)
        assert isinstance(ready.access, SSHAccess)
        assert stat.S_IMODE(os.stat(str(ready.access.identity)).st_mode) == 0o600  # noqa: PTH116
        assert [(n.id, n.token, n.state) for n in await _found(provider)] == [(node.id, "token1", NodeState.READY)]
        assert await _found(provider, "owner2") == await _found(provider, token="token2") == []
        assert len(await _found(provider, "*")) == 1
        assert (await provider.release(ready)).state is NodeState.RELEASING
        await until(lambda: provider.release(ready), lambda n: n.state is NodeState.GONE)
        assert (await provider.release(ready)).state is NodeState.GONE
        assert (await provider.inspect(ready)).state is NodeState.GONE
        assert await _found(provider) == []

    run_async(live())
    assert double.open() == []
    assert float(double.ask("/bill")["total"]) > 0
    assert double.calls("POST") == ["POST /v1/projects/*/compute/vms/instances"]
    assert double.calls("DELETE") == ["DELETE /v1/projects/*/compute/vms/instances/*"]


def test_disks_and_partitions_go_with_the_machine(
    double: Any, make_provider: Any, take: Any, launch: Any, run_async: Any, until: Any
) -> None:
    provider = make_provider(double.url, data_disk_gib=100)
    announced: list[tuple[str, str, int]] = []

    async def announce(kind: str, name: str, *, shared: bool = False) -> None:
        announced.append((kind, name, len(double.open())))

    async def live() -> None:
        node = await take(provider, H100, announce=announce)
        await until(lambda: provider.inspect(node), lambda n: n.state is NodeState.READY)
        kinds = {n.kind: n for n in await _found(provider, token="token1")}
        assert sorted(kinds) == ["disk", "machine", "network"]
        # What a machine uses is not taken from under it.
        assert (await provider.release(kinds["disk"])).state is NodeState.RELEASING
        assert (await provider.release(kinds["network"])).state is NodeState.RELEASING
        assert (await provider.inspect(kinds["disk"])).state is NodeState.READY
        await until(lambda: provider.release(node), lambda n: n.state is NodeState.GONE)
        assert (await provider.release(kinds["disk"])).state is NodeState.GONE
        assert (await provider.inspect(kinds["network"])).state is NodeState.GONE

    run_async(live())
    assert announced == [("disk", "lepton-owner1-token1-disk", 0), ("network", "lepton-owner1-token1-ib", 1)]
    assert double.open() == []


def test_what_a_refused_machine_would_have_used_is_given_back(double: Any, make_provider: Any, take: Any, run_async: Any) -> None:
    provider = make_provider(double.url, data_disk_gib=100, image="no-such:image")
    with pytest.raises(ConfigError, match="unknown image 'no-such:image'") as caught:
        run_async(take(provider, H100))
    assert "providers.crusoe.image" in str(caught.value.hint)
    assert double.open() == []


def test_a_group_shares_one_partition_and_leaves_none(
    double: Any, provider: CrusoeCloud, launch: Any, run_async: Any, until: Any
) -> None:
    launches = [evolve(launch, token=f"token{n}") for n in range(2)]

    async def live() -> None:
        nodes = await provider.acquire_group(Offer("crusoe", H100, "us-east1-a"), launches)
        assert len({node.provider_data["partition"] for node in nodes}) == 1
        await until(lambda: provider.inspect(nodes[1]), lambda n: n.state is NodeState.READY)
        # The node that made the partition goes first and must not wait for the other one.
        await until(lambda: provider.release(nodes[0]), lambda n: n.state is NodeState.GONE)
        assert sorted(name.partition("-token")[2] for name in double.open()) == ["0-ib", "1", "1-os"]
        await until(lambda: provider.release(nodes[1]), lambda n: n.state is NodeState.GONE)

    run_async(live())
    assert double.open() == []
    assert double.calls().count("POST /v1/projects/*/networking/ib-partitions") == 1


def test_a_group_is_all_or_nothing(double: Any, make_provider: Any, launch: Any, run_async: Any) -> None:
    double.tell("/settings", quota=1)
    provider = make_provider(double.url, data_disk_gib=10)
    launches = [evolve(launch, token=f"token{n}") for n in range(2)]
    with pytest.raises(QuotaExceeded):
        run_async(provider.acquire_group(Offer("crusoe", H100, "us-east1-a"), launches))
    assert double.open() == []


# --- stock, time, prices --------------------------------------------------------------------------------------------


def test_a_promise_that_the_operation_breaks_is_no_capacity(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, until: Any
) -> None:
    double.tell("/stock", type="l40s-48gb.1x", region="us-east1-a", left=0)
    double.tell("/promise", type="l40s-48gb.1x", region="us-east1-a", left=3)

    async def live() -> None:
        node = await take(provider)
        with pytest.raises(NoCapacity, match="out_of_stock") as caught:
            await until(lambda: provider.inspect(node), lambda n: n.state is not NodeState.PENDING)
        assert caught.value.request == node.provider_data["operation"]
        assert (await provider.release(node)).state is NodeState.GONE

    run_async(live())
    assert double.open() == []


def test_a_late_id_is_waited_for_and_a_failure_meanwhile_is_no_capacity(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any
) -> None:
    double.tell("/settings", late_id=True, boot=0)
    assert run_async(take(provider)).id
    double.tell("/stock", type="l40s-48gb.1x", region="us-east1-a", left=0)
    with pytest.raises(NoCapacity, match="out of stock"):
        run_async(take(provider, token="token2"))
    assert len([name for name in double.open() if "token2" in name]) == 0


@pytest.mark.parametrize("kind", ["reset-after", "status"])
def test_an_operation_that_cannot_be_read_is_an_unknown_outcome(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, kind: str
) -> None:
    double.tell("/settings", late_id=True)
    double.tell("/fault", kind=kind, match="GET .*/operations/", status=403)
    with pytest.raises(OutcomeUnknown, match="the operation"):
        run_async(take(provider))
    (found,) = run_async(_found(provider, token="token1"))
    assert found.kind == "machine"


def test_a_machine_that_is_not_listed_yet_is_pending_and_not_gone(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, until: Any
) -> None:
    double.tell("/settings", lag=0.3, boot=0.5)

    async def live() -> None:
        node = await take(provider)
        assert (await provider.inspect(node)).state is NodeState.PENDING
        assert (await provider.release(node)).state is NodeState.RELEASING
        assert double.open()
        await until(lambda: provider.release(node), lambda n: n.state is NodeState.GONE)

    run_async(live())
    assert double.open() == []


def test_a_price_that_rose_is_refused_before_anything_is_made(
    double: Any, make_provider: Any, launch: Any, run_async: Any
) -> None:
    provider = make_provider(double.url, prices=["l40s-48gb.1x=1.60"])
    offer = Offer("crusoe", "l40s-48gb.1x", "us-east1-a", price=Money("1.50"))
    with pytest.raises(OfferGone, match=r"1\.50?.*1\.60?"):
        run_async(provider.acquire(offer, launch))
    assert double.calls() == []
    near = evolve(offer, price=Money("1.55"))
    assert run_async(provider.acquire(near, launch)).price == Money("1.60")


def test_every_page_is_read(double: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    double.tell("/settings", quota=200)
    double.tell("/stock", type="c1a.4x", region="us-east1-a", left=200)

    async def many() -> list[Any]:
        for number in range(103):
            await take(provider, "c1a.4x", token=f"t{number}")
        return [node for node in await _found(provider) if node.kind == "machine"]

    assert len({node.token for node in run_async(many())}) == 103


def test_a_machine_is_released_in_the_project_that_it_was_made_in(
    double: Any, provider: CrusoeCloud, make_provider: Any, take: Any, run_async: Any, until: Any
) -> None:
    async def live() -> None:
        node = await take(provider)
        moved = make_provider(double.url, project_id="00000000-0000-4000-8000-000000000002")
        await until(lambda: moved.release(node), lambda n: n.state is NodeState.GONE)

    run_async(live())
    assert double.open() == []


def test_a_startup_script_goes_with_the_create(double: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    run_async(take(provider, startup_script="#!/bin/sh\ntrue\n"))
    run_async(take(provider, token="token2"))
    bodies = [json.loads(row["request"]) for row in double.exchanges() if row["method"] == "POST"]
    assert [body.get("startup_script") for body in bodies] == ["#!/bin/sh\ntrue\n", None]


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_before_anything_is_made(double: Any, make_provider: Any, take: Any, run_async: Any) -> None:
    from lepton_sdk.spi import Secret

    provider = make_provider(double.url, secret_key=Secret("d3Jvbmc"))
    with pytest.raises(AuthError, match="signature does not match") as caught:
        run_async(take(provider))
    assert "CRUSOE_SECRET_KEY" in str(caught.value.hint)
    assert "d3Jvbmc" not in str(caught.value)
    assert double.open() == []


def test_a_clock_that_is_off_is_named(double: Any, make_provider: Any, run_async: Any) -> None:
    class Late(SystemClock):
        def now(self) -> datetime:
            return datetime.now(UTC) - timedelta(hours=1)

    provider = make_provider(double.url, clock=Late())
    lines = run_async(provider.diagnose())
    assert len(lines) == 1
    assert "clock is 3" in lines[0].hint
    assert "seconds behind" in lines[0].hint


def test_a_key_that_may_only_read_is_told_so(double: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    double.tell("/settings", read_only=True)
    with pytest.raises(AuthError, match="may only read") as caught:
        run_async(take(provider))
    assert "role" in str(caught.value.hint)


def test_an_unknown_project_is_named_and_nothing_counts_as_gone(
    double: Any, provider: CrusoeCloud, make_provider: Any, take: Any, run_async: Any
) -> None:
    node = run_async(take(provider))
    elsewhere = make_provider(double.url, project_id="00000000-0000-4000-8000-000000000009")
    with pytest.raises(ConfigError, match=r"knows no project '0+-0000-4000-8000-000000000009'"):
        run_async(_found(elsewhere))
    lost = evolve(node, provider_data={}, since=None)
    with pytest.raises(ConfigError, match="knows no project"):
        run_async(elsewhere.release(lost))


@pytest.mark.parametrize(("kind", "at"), [("h900.1x", "us-east1-a"), ("l40s-48gb.1x", "mars-1")])
def test_what_is_not_sold_leads_to_the_next_offer(provider: CrusoeCloud, take: Any, run_async: Any, kind: str, at: str) -> None:
    with pytest.raises(OfferGone, match="unknown"):
        run_async(take(provider, kind, at))


@pytest.mark.parametrize("field", ["owner", "token"])
@pytest.mark.parametrize("value", ["", "x" * 25, "Upper", "a-b", "é"])
def test_names_that_could_not_be_found_again_are_refused(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, field: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"the {field} "):
        run_async(take(provider, **{field: value}))
    assert double.calls() == []


def test_too_quick_is_told_and_makes_nothing(double: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    double.tell("/settings", per_second=0)
    with pytest.raises(RateLimited):
        run_async(take(provider))
    assert double.open() == []


def test_doctor_says_what_holds(double: Any, provider: CrusoeCloud, run_async: Any) -> None:
    lines = {line.subject: line for line in run_async(provider.diagnose())}
    assert [line.ok for line in lines.values()] == [True, True, True, True, True, None]
    assert lines["rights"].detail == "project-editor"
    assert "h100-80gb-sxm-ib 0 of 20" in lines["quota"].detail
    assert double.calls("POST") == double.calls("DELETE") == []
    double.tell("/settings", read_only=True)
    (rights,) = [line for line in run_async(provider.diagnose()) if line.subject == "rights"]
    assert rights.ok is False
    assert "project-reader in the project: the key may create nothing" in rights.detail
    assert "editor" in rights.hint
