"""The wire between a client and a cloud breaks in every way: each run ends, nothing stays on the bill, nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wire import KINDS, Wire

_JOB = ("--", "sh", "-c", "echo ran")


@pytest.fixture
def wire(cloud: Any, lepton: Any) -> Iterator[Wire]:
    """A proxy between the command and the cloud."""
    wire = Wire(cloud.environment[cloud.url_variable])
    lepton.environment[cloud.url_variable] = wire.url
    yield wire
    wire.shutdown()
    wire.server_close()


@pytest.fixture
def run(cloud: Any, lepton: Any) -> Callable[[], dict[str, Any]]:
    """Run a job to its end; what became of it."""

    def once() -> dict[str, Any]:
        lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, *_JOB, code=None)
        lepton.settle(cloud)
        (ended,) = lepton.runs()
        return dict(ended)

    return once


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_and_a_release_that_go_wrong(kind: str, wire: Wire, cloud: Any, run: Any) -> None:
    wire.spoil(kind, cloud.create)
    wire.spoil(kind, cloud.end)
    ended = run()
    assert ended["state"] == "succeeded", ended
    spoilt = [request for request, by in wire.seen if by]
    assert len(spoilt) == 2, spoilt
    # What took effect was adopted; where nothing did, another token was tried.
    assert len(cloud.creates()) == 1
    assert len([request for request, _ in wire.seen if request == spoilt[0]]) == (1 if KINDS[kind] else 2)


@pytest.mark.parametrize("kind", ["half a body", "503"])
def test_a_storm_while_the_machine_boots_and_leaves(kind: str, wire: Wire, cloud: Any, lepton: Any, run: Any) -> None:
    wire.spoil(kind, cloud.end, times=3)
    wire.spoil(kind, "GET .*/instances/", times=3)
    assert run()["state"] == "succeeded"


@pytest.mark.parametrize("kind", ["HTML after", "wrong JSON"])
def test_a_list_that_cannot_be_read_is_never_taken_for_an_empty_one(
    kind: str, wire: Wire, cloud: Any, lepton: Any, run: Any
) -> None:
    """The create's answer is lost, so the machine can only be found in the list; and the list is spoilt as well."""
    wire.spoil("reset after", cloud.create)
    wire.spoil(kind, cloud.listing, times=2, after=cloud.create)
    ended = run()
    assert len([request for request, by in wire.seen if by == kind]) == 2
    assert len(cloud.creates()) == 1, ended
    assert cloud.open() == []


@pytest.mark.parametrize("kind", ["HTML after", "wrong JSON"])
def test_nothing_is_made_where_the_list_cannot_be_read(kind: str, wire: Wire, cloud: Any, run: Any) -> None:
    """What is there could not be told from what we make."""
    wire.spoil(kind, cloud.listing, times=9)
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
