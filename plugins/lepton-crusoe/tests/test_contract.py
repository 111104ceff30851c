"""The published contract as the judge of what both sides say; skipped where the document is not at hand.

Beyond these tests, every exchange of every test with a double is held against it when the test ends.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lepton_crusoe.provider import CrusoeCloud
from lepton_sdk.spi import NodeState, Resources


def test_a_whole_life_conforms(contract: Any, double: Any, make_provider: Any, take: Any, run_async: Any, until: Any) -> None:
    provider = make_provider(double.url, data_disk_gib=10, image="ubuntu22.04:latest")

    async def live() -> None:
        await provider.diagnose()
        assert [offer async for offer in provider.offers(Resources())]
        node = await take(provider, "h100-80gb-sxm-ib.8x")
        await until(lambda: provider.inspect(node), lambda n: n.state is NodeState.READY)
        assert len([found async for found in provider.find("owner1")]) == 3
        await until(lambda: provider.release(node), lambda n: n.state is NodeState.GONE)

    run_async(live())
    traffic = double.exchanges()
    for exchange in traffic:
        contract.check(exchange)
    assert len(set(double.calls())) >= 14


@pytest.mark.parametrize("change", [{"tags": {"a": "b"}}, {"name": 7}, {"disks": [{"disk_id": "x"}]}, {"image": None}])
def test_the_judge_sees_what_is_not_published(
    contract: Any, double: Any, provider: CrusoeCloud, take: Any, run_async: Any, change: Any
) -> None:
    run_async(take(provider))
    exchange = double.exchanges()[-1]
    contract.check(exchange)
    with pytest.raises(AssertionError, match=r"is not|lacks"):
        contract.check(exchange | {"request": json.dumps(json.loads(exchange["request"]) | change)})


@pytest.mark.parametrize("reply", [{}, {"operation": {}}, {"operation": 7}, None, {"operation": {"state": "DONE"}}])
def test_the_judge_sees_a_wrong_reply(
    contract: Any, double: Any, provider: CrusoeCloud, take: Any, run_async: Any, reply: Any
) -> None:
    run_async(take(provider))
    exchange = double.exchanges()[-1]
    with pytest.raises(AssertionError, match=r"is not|lacks"):
        contract.check(exchange | {"reply": reply})


def test_the_judge_sees_a_query_or_a_path_that_is_not_published(contract: Any) -> None:
    exchange = {"method": "GET", "request": "", "status": 200, "reply": {"items": []}}
    contract.check(exchange | {"path": "/v1/capacities", "query": "location=a"})
    for path, query in (("/v1/capacities", "color=a"), ("/v1/prices", "")):
        with pytest.raises(AssertionError, match="is not published"):
            contract.check(exchange | {"path": path, "query": query})
