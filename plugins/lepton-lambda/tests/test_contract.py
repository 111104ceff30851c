"""The published contract as the judge of what both sides say; skipped where the document is not at hand.

Beyond these tests, every exchange of every test with a double is held against it when the test ends.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lepton_lambda.provider import LambdaCloud


def test_a_whole_life_conforms(contract: Any, provider: LambdaCloud, double: Any, take: Any, run_async: Any) -> None:
    async def live() -> None:
        await provider.diagnose()
        node = await take(provider)
        await provider.inspect(node)
        double.tell("/instance", id=node.id, status="preempted")
        assert [found.id async for found in provider.find("owner1")] == [node.id]
        await provider.release(node)

    run_async(live())
    exchanges = double.exchanges()
    for exchange in exchanges:
        contract.check(exchange)
    assert len({(one["method"], one["path"].rpartition("/")[2][:9]) for one in exchanges}) >= 7


@pytest.mark.parametrize("change", [{"quantity": 1}, {"tags": [{"key": "Bad", "value": "x"}]}, {"name": "n" * 65}])
def test_the_judge_sees_what_is_not_published(
    contract: Any, double: Any, provider: Any, take: Any, run_async: Any, change: Any
) -> None:
    run_async(take(provider))
    exchange = double.exchanges()[-1]
    contract.check(exchange)
    with pytest.raises(Exception, match=r"(?i)error"):
        contract.check(exchange | {"request": json.dumps(json.loads(exchange["request"]) | change)})


@pytest.mark.parametrize("reply", [{"data": {}}, {"data": {"instance_ids": ["a"], "more": 1}}, {"data": {"instance_ids": [7]}}])
def test_the_judge_sees_a_wrong_reply(contract: Any, double: Any, provider: Any, take: Any, run_async: Any, reply: Any) -> None:
    run_async(take(provider))
    exchange = double.exchanges()[-1]
    with pytest.raises(Exception, match=r"(?i)error|invalid"):
        contract.check(exchange | {"reply": reply})
