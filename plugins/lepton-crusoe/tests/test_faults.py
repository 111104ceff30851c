"""Faults on the wire: whatever becomes of an answer, one call is one attempt and nothing is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_crusoe.provider import CrusoeCloud
from lepton_sdk.spi import ContractViolation, LeptonError, NodeState, OutcomeUnknown, Unavailable

_CREATE = "POST .*/instances"


@pytest.mark.parametrize(
    ("kind", "made"),
    [("reset-after", 1), ("half-body", 1), ("html-after", 1), ("wrong-json", 1), ("reset-before", 0), ("status", 0)],
)
def test_a_create_whose_answer_is_lost_is_found(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, until: Any, kind: str, made: int
) -> None:
    double.tell("/fault", kind=kind, match=_CREATE, status=500)

    async def live() -> list[Any]:
        with pytest.raises(OutcomeUnknown):
            await take(provider)
        found = [node async for node in provider.find("owner1", "token1")]
        for node in found:
            assert (node.kind, node.token) == ("machine", "token1")
            await until(lambda node=node: provider.release(node), lambda n: n.state is NodeState.GONE)
        return found

    assert len(run_async(live())) == made
    assert double.calls("POST").count("POST /v1/projects/*/compute/vms/instances") == 1
    assert double.open() == []


@pytest.mark.parametrize("match", ["POST .*/disks", "POST .*/ib-partitions"])
def test_a_part_whose_answer_is_lost_is_found_and_used(
    double: Any, make_provider: Any, take: Any, run_async: Any, until: Any, match: str
) -> None:
    provider = make_provider(double.url, data_disk_gib=10)
    double.tell("/fault", kind="reset-after", match=match)

    async def live() -> None:
        node = await take(provider, "h100-80gb-sxm-ib.8x")
        await until(lambda: provider.inspect(node), lambda n: n.state is NodeState.READY)
        assert len([one async for one in provider.find("owner1")]) == 3
        await until(lambda: provider.release(node), lambda n: n.state is NodeState.GONE)

    run_async(live())
    assert double.open() == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset-after", Unavailable),
        ("half-body", Unavailable),
        ("status", Unavailable),
        ("html-after", ContractViolation),
        ("wrong-json", ContractViolation),
    ],
)
def test_a_list_that_cannot_be_read_is_never_an_empty_one(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, kind: str, error: type[LeptonError]
) -> None:
    run_async(take(provider))
    double.tell("/fault", kind=kind, match=r"GET .*/instances\?", status=503)

    async def look() -> list[Any]:
        return [node async for node in provider.find("owner1")]

    with pytest.raises(error):
        run_async(look())
    assert len(run_async(look())) == 1


@pytest.mark.parametrize("kind", ["reset-after", "half-body", "reset-before", "status", "html-after"])
def test_a_release_that_is_not_answered_is_done_again(
    double: Any, provider: CrusoeCloud, take: Any, run_async: Any, until: Any, kind: str
) -> None:
    async def live() -> None:
        node = await take(provider)
        await until(lambda: provider.inspect(node), lambda n: n.state is NodeState.READY)
        double.tell("/fault", kind=kind, match="DELETE", status=500)
        with pytest.raises(LeptonError):
            await provider.release(node)
        await until(lambda: provider.release(node), lambda n: n.state is NodeState.GONE)

    run_async(live())
    assert double.open() == []


def test_a_slow_answer_is_waited_for(double: Any, provider: CrusoeCloud, take: Any, run_async: Any) -> None:
    double.tell("/fault", kind="slow", match=_CREATE, seconds=0.3)
    assert run_async(take(provider)).id
