"""The wire between a client and a cloud breaks in every way: each run ends, nothing stays on the bill, nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lepton_sdk.testing.doubles import HAPPENS, KINDS

_JOB = ("--", "sh", "-c", "echo ran")


@pytest.fixture
def run(cloud: Any, lepton: Any) -> Callable[[], dict[str, Any]]:
    """Run a job to its end; what became of it."""

    def once() -> dict[str, Any]:
        lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, *_JOB, code=None)
        lepton.settle(cloud)
        (ended,) = lepton.runs()
        return dict(ended)

    return once


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_create_and_a_release_that_go_wrong(kind: str, cloud: Any, run: Any) -> None:
    cloud.spoil(kind, cloud.create)
    cloud.spoil(kind, cloud.end)
    ended = run()
    assert ended["state"] == "succeeded", ended
    requests = [(cloud.line(one), one["fault"]) for one in cloud.exchanges()]
    spoilt = [line for line, fault in requests if fault]
    assert len(spoilt) == 2, spoilt
    # What took effect was adopted; where nothing did, another token was tried.
    assert len(cloud.creates()) == 1
    assert len([line for line, _ in requests if line == spoilt[0]]) == (1 if kind in HAPPENS else 2)


@pytest.mark.parametrize("kind", ["half-body", "status"])
def test_a_storm_while_the_machine_boots_and_leaves(kind: str, cloud: Any, run: Any) -> None:
    cloud.spoil(kind, cloud.end, times=3)
    cloud.spoil(kind, "GET .*/instances/", times=3)
    assert run()["state"] == "succeeded"


@pytest.mark.parametrize("kind", ["html-after", "wrong-json"])
def test_a_list_that_cannot_be_read_is_never_taken_for_an_empty_one(kind: str, cloud: Any, run: Any) -> None:
    """The create's answer is lost, so the machine can only be found in the list; and the list is spoilt as well."""
    cloud.spoil("reset-after", cloud.create)
    cloud.spoil(kind, cloud.listing, times=2, after=cloud.create)
    ended = run()
    assert [one["fault"] for one in cloud.exchanges()].count(kind) == 2
    assert len(cloud.creates()) == 1, ended
    assert cloud.open() == []


@pytest.mark.parametrize("kind", ["html-after", "wrong-json"])
def test_nothing_is_made_where_the_list_cannot_be_read(kind: str, cloud: Any, run: Any) -> None:
    """What is there could not be told from what we make."""
    cloud.spoil(kind, cloud.listing, times=9)
    ended = run()
    assert ended["state"] == "refused", ended
    assert cloud.creates() == {}


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_off(seconds: int, cloud: Any, lepton: Any) -> None:
    """Signed requests are refused with the reason; where nothing is signed, a wrong clock changes nothing."""
    lepton.environment["LEPTON_TEST_SKEW"] = str(seconds)
    said = lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, *_JOB, code=None)
    if cloud.name == "crusoe":
        assert "this host's clock is 36" in said
        assert f"seconds {'ahead' if seconds > 0 else 'behind'}" in said
        assert cloud.creates() == {}
    else:
        lepton.settle(cloud)
        assert lepton.runs()[0]["state"] == "succeeded"
