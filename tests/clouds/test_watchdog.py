"""A client that is killed and never comes back: the machine powers itself off, and the cloud's bill shows what that ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

# Long enough for the client to be killed before the job ends, also where everything is slow.
_JOB = ("--name", "left", "--keep", "1s", "--", "sh", "-c", "sleep 6")


@pytest.fixture
def crusoe(start: Callable[..., Any]) -> Any:
    """The cloud whose machines get a watchdog."""
    cloud = start("crusoe")
    if "LEPTON_SDK_PROVIDERS_CRUSOE_WATCHDOG" in cloud.environment:
        pytest.skip("machines of their own need root on Linux, with mount, process and time namespaces")
    return cloud


@pytest.fixture
def left_alone(crusoe: Any, make_lepton: Any, kill: Any, wait_until: Any) -> Any:
    """A client, dead since its job ran, and nobody else."""
    lepton = make_lepton(crusoe)
    client = lepton.begin("run", "--provider", "crusoe", "--gpu", crusoe.gpu, *_JOB)
    wait_until(lambda: bool(lepton.runs()) and lepton.runs()[0]["state"] == "running", lambda: str(lepton.runs()))
    kill(client)
    return lepton


def _machine(cloud: Any) -> dict[str, Any]:
    (row,) = (row for row in cloud.ask("/bill")["rows"] if row["kind"] == "machine")
    return dict(row)


def test_the_bill_of_a_machine_stops_where_power_off_ends_it(crusoe: Any, left_alone: Any, wait_until: Any) -> None:
    assert _machine(crusoe)["name"] in crusoe.open()
    wait_until(lambda: _machine(crusoe)["until"] is not None, lambda: "the machine is still on")
    ended = _machine(crusoe)
    # What is left on the bill is the system disk, which no power-off ends.
    assert crusoe.open() == [f"{ended['name']}-os"]
    # It is not forgotten: whoever comes next gives back what is left of it.
    left_alone.settle(crusoe)
    assert _machine(crusoe) == ended
    assert [run["state"] for run in left_alone.runs()] == ["lost"]
    assert float(left_alone.runs()[0]["cost"]) >= crusoe.dollars()


def test_a_bill_that_goes_on_all_the_same_is_shown_until_it_ends(crusoe: Any, left_alone: Any, wait_until: Any) -> None:
    wait_until(lambda: _machine(crusoe)["until"] is not None, lambda: "the machine is still on")
    # The same power-off at a vendor that bills what it calls running: which of the two Crusoe is, nobody has published.
    crusoe.tell("/settings", power_off="keeps")
    assert _machine(crusoe)["until"] is None
    assert _machine(crusoe)["name"] in crusoe.open()
    # A machine that its provider calls running and that does not answer is held, with its cost, until somebody says so.
    assert "$1.50" in left_alone("nodes")
    left_alone("stop", "left", code=None)
    left_alone.settle(crusoe)
    assert _machine(crusoe)["until"] is not None


def test_an_image_that_runs_no_start_up_script_is_used_without_a_watchdog(start: Any, make_lepton: Any) -> None:
    cloud = start("crusoe")
    lepton = make_lepton(cloud)
    lepton.environment["LEPTON_SDK_PROVIDERS_CRUSOE_WATCHDOG"] = "false"
    lepton("run", "--provider", "crusoe", "--gpu", cloud.gpu, "--", "true")
    (create,) = [row for row in cloud.exchanges() if row["method"] == "POST"]
    assert "startup_script" not in json.loads(create["request"])
    lepton.environment["LEPTON_SDK_PROVIDERS_CRUSOE_WATCHDOG"] = "perhaps"
    assert "'perhaps'" in lepton("plugins")
