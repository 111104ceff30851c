"""What goes wrong on the wire while a machine is made or given back: nothing is made twice, nothing is lost sight of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lepton_lambda.provider import LambdaCloud, create
from lepton_sdk.spi import LeptonError, Node, NodeState, OutcomeUnknown, ProviderContext, Unavailable
from lepton_sdk.testing.doubles import HAPPENS, KINDS

_LAUNCH, _END = "/instance-operations/launch", "/instance-operations/terminate"
# Those kinds whose answer, if any, comes at once.
_SPOILT = set(KINDS) - {"slow", "silent-before", "silent-after"}


async def _found(provider: LambdaCloud) -> list[Node]:
    return [node async for node in provider.find("owner1", "token1")]


def _until(double: Any, count: int) -> None:
    """Wait until so many machines run; a late launch takes effect when it does."""
    for _ in range(400):
        if len(double.open()) == count:
            return
        threading.Event().wait(0.025)
    raise AssertionError(f"{double.open()} run, not {count}")


@pytest.mark.parametrize("kind", sorted(_SPOILT))
def test_a_launch_that_goes_wrong(provider: LambdaCloud, double: Any, take: Any, run_async: Any, kind: str) -> None:
    double.tell("/fault", kind=kind, match=_LAUNCH, seconds=0.2)
    with pytest.raises(OutcomeUnknown):
        run_async(take(provider))
    _until(double, 1 if kind in HAPPENS else 0)
    assert [node.id for node in run_async(_found(provider))] == double.open()
    assert double.calls().count(f"POST {_LAUNCH}") == 1


@pytest.mark.parametrize("kind", ["slow", "silent-before", "silent-after"])
def test_a_launch_that_nobody_answers(
    double: Any, context: Callable[..., ProviderContext], take: Any, run_async: Any, kind: str
) -> None:
    impatient = create(context(double.url, timeout=0.5))
    double.tell("/fault", kind=kind, match=_LAUNCH, seconds=1.5)
    with pytest.raises(OutcomeUnknown, match="answer did not come back"):
        run_async(take(impatient))
    if kind not in HAPPENS:
        assert (run_async(_found(impatient)), double.open()) == ([], [])
        return
    _until(double, 1)
    (node,) = run_async(_found(impatient))
    assert run_async(impatient.release(node)).state is NodeState.GONE


@pytest.mark.parametrize("kind", sorted(_SPOILT - {"late"}))
@pytest.mark.parametrize("path", ["/instances/", _END])
def test_a_release_that_goes_wrong_is_asked_again(
    provider: LambdaCloud, double: Any, take: Any, run_async: Any, kind: str, path: str
) -> None:
    node = run_async(take(provider))
    double.tell("/fault", kind=kind, match=path)
    with pytest.raises(LeptonError):
        run_async(provider.release(node))
    assert run_async(provider.release(node)).state is NodeState.GONE
    assert double.open() == []


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "half-body", "status", "html"])
def test_a_question_that_goes_wrong_may_be_asked_again(
    provider: LambdaCloud, double: Any, offers: Any, run_async: Any, kind: str
) -> None:
    double.tell("/fault", kind=kind, match="/instance-types", times=2)
    for _ in range(2):
        with pytest.raises(Unavailable):
            run_async(offers(provider))
    assert run_async(offers(provider))
    assert double.calls() == ["GET /instance-types"] * 3


@pytest.mark.parametrize("kind", ["reset-after", "half-body", "status"])
def test_a_key_whose_answer_was_lost_is_not_registered_twice(
    provider: LambdaCloud, double: Any, take: Any, run_async: Any, kind: str
) -> None:
    double.tell("/fault", kind=kind, match="POST .*/ssh-keys")
    with pytest.raises(Unavailable):
        run_async(take(provider))
    assert double.open() == []
    run_async(take(provider))
    assert double.calls().count("POST /ssh-keys") == (2 if kind == "status" else 1)
