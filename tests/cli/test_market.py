"""``lepton offers`` and ``lepton route``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_offers_have_their_keys_and_leave_no_trace(lepton: Lepton, tmp_path: Path) -> None:
    done = lepton("offers", "--gpu", "H100:8", "--json")
    assert done.returncode == 0, done.stderr
    offers = json.loads(done.stdout)
    assert offers
    for offer in offers:
        assert {
            "provider",
            "instance_type",
            "region",
            "gpu",
            "gpu_count",
            "cpus",
            "memory_gib",
            "price_per_hour",
            "terms",
            "price_source",
            "seen_at",
            "availability",
        } <= set(offer)
        assert {"model", "form_factor", "memory_gib"} <= set(offer["gpu"])
        assert (offer["gpu"]["model"], offer["gpu_count"]) == ("H100", 8)
        assert isinstance(offer["price_per_hour"], str)
        assert offer["price_source"]
        assert offer["seen_at"]
    prices = [float(offer["price_per_hour"]) for offer in offers]
    assert prices == sorted(prices)
    assert not (tmp_path / "state").exists()


def test_route_explains_every_loss(lepton: Lepton, tmp_path: Path) -> None:
    done = lepton("route", "--gpu", "H100:8", "--json")
    plan = json.loads(done.stdout)
    assert plan["candidates"] == []
    assert all({"reason", "count", "example"} <= set(group) for group in plan["rejected"])
    whole = json.loads(lepton("offers", "--json").stdout)
    assert sum(group["count"] for group in plan["rejected"]) >= len([o for o in whole if o["gpu"]])
    assert not (tmp_path / "state").exists()


def test_route_of_this_machine_names_the_clouds_beside_it(lepton: Lepton) -> None:
    done = lepton("route", "--cpus", "1", "--provider", "byoc")
    assert "byoc" in done.stdout
    assert done.returncode == 0
