"""Whole runs by the command over each double: the job runs on a real sshd host, and the two bills agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_run_from_start_to_end(cloud: Any, lepton: Any) -> None:
    said = lepton(
        "run", "--provider", cloud.name, "--gpu", cloud.gpu, "--", "sh", "-c", "echo on $LEPTON_PROVIDER; exit 3", code=3
    )
    assert f"on {cloud.name}" in said
    (run,) = lepton.runs()
    assert (run["state"], run["exit_code"], run["attempts"]) == ("failed", 3, 1)
    assert cloud.open() == []
    assert float(run["cost"]) == pytest.approx(cloud.dollars(), abs=0.0001)
    assert list(cloud.creates().values()) == [1]
    assert lepton("nodes", "--json").strip() == "[]"


def test_a_detached_run_goes_on_by_itself(cloud: Any, lepton: Any, wait_until: Any) -> None:
    job = ("--name", "away", "-d", "--accept-exposure", "--", "sh", "-c", "sleep 1; echo done")
    said = lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, *job[:2], "-d", *job[-4:], code=2)
    assert "without a follower these machines are billed on" in said
    lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, *job)
    # The detached follower keeps the vendor's own pace.
    wait_until(lambda: lepton.runs()[0]["state"] == "succeeded", lambda: str(lepton.runs()))
    assert "done" in lepton("logs", "away")
    assert cloud.open() == []


def test_stock_that_is_promised_and_denied_ends_without_a_loop(cloud: Any, lepton: Any) -> None:
    cloud.sell_out(promise=True)
    said = lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, "--", "true", code=69)
    assert "2 offers were refused" in said
    (run,) = lepton.runs()
    assert [attempt["error"] for attempt in run["history"]] == ["NoCapacity", "NoCapacity"]
    assert len({attempt["blocked"] for attempt in run["history"]}) == 2
    assert float(run["cost"]) == 0
    assert len(cloud.creates()) == 2
    assert cloud.open() == []


@pytest.mark.parametrize(("first", "second"), [("lambda", "crusoe"), ("crusoe", "lambda")])
def test_what_one_cloud_denies_the_other_gives(first: str, second: str, start: Callable[[str], Any], make_lepton: Any) -> None:
    clouds = {name: start(name) for name in (first, second)}
    lepton = make_lepton(*clouds.values())
    # The A10 costs 1.29.
    lepton.environment["LEPTON_SDK_PROVIDERS_CRUSOE_PRICES"] = "l40s-48gb=1.20" if first == "crusoe" else "l40s-48gb=1.50"
    clouds[first].sell_out(promise=True)
    gpus = ["--gpu", clouds[first].gpu, "--gpu", clouds[second].gpu]
    lepton("run", *gpus, "--provider", "lambda", "--provider", "crusoe", "--", "true")
    (run,) = lepton.runs()
    assert (run["state"], run["provider"], run["attempts"]) == ("succeeded", second, 3)
    assert {attempt["provider"] for attempt in run["history"]} == {first}
    assert all(cloud.open() == [] for cloud in clouds.values())


def test_doctor_holds_for_each(cloud: Any, lepton: Any) -> None:
    said = lepton("doctor", cloud.name)
    assert "accepted" in said
    assert cloud.dollars() == 0


@pytest.fixture
def two_nodes(cloud: Any, tmp_path: Path) -> str:
    """A job file that asks for two machines."""
    file = tmp_path / "work" / "two.yaml"
    file.parent.mkdir(exist_ok=True)
    resources = {"gpu": cloud.gpu, "providers": [cloud.name]}
    job = {"name": "two", "nodes": 2, "command": "echo rank $NODE_RANK of $NNODES", "resources": resources}
    file.write_text(json.dumps(job))
    return str(file)


def test_two_nodes_of_one_run(two_nodes: str, cloud: Any, lepton: Any) -> None:
    lepton("run", two_nodes)
    (run,) = lepton.runs()
    assert (run["state"], run["attempts"]) == ("succeeded", 1)
    assert "rank 0 of 2" in lepton("logs", "two")
    assert sorted(cloud.creates().values()) == [1, 1]
    assert cloud.open() == []
    assert float(run["cost"]) == pytest.approx(cloud.dollars(), abs=0.0001)


def test_a_group_that_cannot_be_whole_leaves_no_machine(two_nodes: str, cloud: Any, lepton: Any) -> None:
    cloud.leave_one()
    lepton("run", two_nodes, code=69)
    (run,) = lepton.runs()
    assert (run["state"], run["history"][0]["error"]) == ("refused", "NoCapacity")
    assert cloud.open() == []
