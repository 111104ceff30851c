"""Why was my own machine not used: every host that is left out stands in the plan, with the reason and what helps."""

from __future__ import annotations

import getpass
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lepton_sdk import Resources
from lepton_sdk.errors import NoCapacity


@pytest.fixture
def losses(lepton: Any) -> Callable[..., dict[str, tuple[str, str, str]]]:
    """Offer of the fleet that lost → its reason, the detail and the next step, as the plan's JSON tells them."""

    def losses(*words: str) -> dict[str, tuple[str, str, str]]:
        plan = lepton("route", *words, "--region", "lab")
        lost = [row for row in plan["rejected"] if row["example"]["region"] == "lab" and row["reason"] != "no GPU"]
        return {row["example"]["instance_type"]: (row["reason"], row["detail"], row["hint"]) for row in lost}

    return losses


def test_cordoned_by_whom_and_since_when(fleet: list[Any], lepton: Any, losses: Any) -> None:
    lepton("byoc", "cordon", "one", "--reason", "memory test")
    ((name, (reason, detail, hint)),) = losses("--gpu", "H100:2").items()
    assert (name, reason, hint) == ("lab-2xH100-SXM-80GB-on-one", "withheld", "lepton byoc uncordon one")
    assert detail.startswith(f"one is cordoned by {getpass.getuser()}@{socket.gethostname()} since 20")
    assert detail.endswith(" UTC: memory test")
    (offer,) = [o for o in lepton("offers", "--gpu", "H100:2", "--region", "lab") if o["provider"] == "byoc"]
    assert (offer["availability"], offer["obstacle"], offer["hint"]) == ("withheld", detail, hint)
    # One host that is left out does not hide those that serve.
    plan = lepton("route", "--gpu", "H100:1", "--region", "lab")
    assert [row["instance_type"] for row in plan["candidates"]] == ["lab-1xH100-SXM-80GB"]
    assert "lab-1xH100-SXM-80GB-on-one" in losses("--gpu", "H100:1")
    lepton("byoc", "uncordon", "one")
    assert losses("--gpu", "H100:2") == {}


def test_the_table_names_the_host_and_the_command(fleet: list[Any], lepton: Any) -> None:
    lepton("byoc", "cordon", "one", "two")
    argv = [sys.executable, "-m", "lepton_sdk", "route", "--gpu", "H100:1", "--provider", "byoc"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    for name in ("one", "two"):
        assert f"{name} is cordoned by" in shown
        assert f"next: lepton byoc uncordon {name}" in shown
    argv[3] = "run"
    refused = subprocess.run([*argv, "--", "true"], capture_output=True, text=True, check=False)
    assert refused.returncode == 69
    assert "is cordoned by" in refused.stderr


def test_unhealthy_says_which_gpu_and_why(fleet: list[Any], lepton: Any, losses: Any) -> None:
    fleet[0].has("gpus 2", "gpu 1 xid 79")
    lepton("byoc", "check", "one", "--watch", "0.2", code=1)
    ((_, (reason, detail, hint)),) = losses("--gpu", "H100:2").items()
    assert (reason, hint) == ("withheld", "reboot the host, then lepton byoc check one")
    assert detail.startswith("one is unhealthy: GPU 1 at ")
    assert detail.endswith(": XID 79")
    row = next(row for row in lepton("byoc", "list") if row["host"] == "one")
    assert (row["obstacle"], row["next"]) == (detail, hint)


def test_a_host_that_was_mended_comes_back_with_uncordon_alone(
    owners: list[Any], fleet: list[Any], lepton: Any, losses: Any
) -> None:
    whole = next(o for o in owners[0].offers(Resources(gpu="H100:2")) if o.gpu_count == 2)
    fleet[0].has("gpus 2", "gpu 1 lost 1")
    with pytest.raises(NoCapacity, match="one is unhealthy: GPU 1: GPU is lost"):
        owners[0].take("H100:2", "t1", offer=whole)
    ((_, (_, detail, hint)),) = losses("--gpu", "H100:1").items()
    assert "one is cordoned by the health check since" in detail
    assert hint == "reboot the host, then lepton byoc uncordon one"
    (row,) = lepton("byoc", "uncordon", "one")
    assert "one is unhealthy: GPU 1: GPU is lost" in row["obstacle"], "nobody mended it"
    fleet[0].has("gpus 2")
    (row,) = lepton("byoc", "uncordon", "one")
    assert (row["cordon"], row["obstacle"], row["health"]) == ("", "", "healthy")
    assert losses("--gpu", "H100:2") == {}


def test_gpus_in_use_by_which_run_and_which_process(owners: list[Any], fleet: list[Any], lepton: Any, losses: Any) -> None:
    fleet[0].has("gpus 2", "gpu 1 pid 4242")
    offer = next(o for o in owners[0].offers(Resources(gpu="H100:1")) if o.gpu_count == 1)
    for token in ("t1", "t2"):
        owners[0].take("H100:1", token, run=f"run-{token}", offer=offer)
    lepton("byoc", "check")
    found = losses("--gpu", "H100:1")
    assert set(found) == {"lab-1xH100-SXM-80GB-on-one", "lab-1xH100-SXM-80GB-on-two"}
    reason, detail, _ = found["lab-1xH100-SXM-80GB-on-one"]
    assert reason == "busy"
    assert "one has 2 x H100-SXM-80GB, 0 free, 1 wanted; in use: 1 by process 4242, 1 by run run-t" in detail
    assert "1 by run run-t" in found["lab-1xH100-SXM-80GB-on-two"][1]
    with pytest.raises(NoCapacity, match=r"one: 1 wanted, 0 of 0 are free"):
        owners[1].take("H100:1", "t3", offer=offer)


def test_the_machine_itself_heeds_the_cordon_of_its_fleet(
    fleet: list[Any], lepton: Any, own_home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``lepton`` on the host, by the same user, takes nothing there either."""
    lepton("byoc", "cordon", "one", "--reason", "new disks")
    there = fleet[0].server.home / ".cache/lepton/providers/byoc"
    (written,) = there.glob("cordon-*.json")
    here = own_home / ".cache/lepton/providers/byoc"
    (here / f"cordon-{socket.gethostname()}.json").write_text(written.read_text())
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    plan = lepton("route", "--provider", "byoc", "--region", "local")
    assert plan["candidates"] == []
    assert "this machine is cordoned by" in plan["rejected"][0]["detail"]
    assert "this machine is cordoned by" in lepton("run", "--region", "local", "--", "true", code=69)
