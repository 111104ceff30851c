"""What may go on costing money without a follower is shown, and refused unless it was accepted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, Money, RunState
from lepton_sdk._config import load_config
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.exposure import exposures
from lepton_sdk.errors import ExposureNotAccepted
from lepton_sdk.spi import ProviderSpec
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

_RENTED = evolve(FAKE_SPEC, capabilities=())


def engine(tmp_path: Path, spec: ProviderSpec) -> Engine:
    config = load_config(state=tmp_path / "s", cache=tmp_path / "c", environ={"HOME": str(tmp_path)})
    return Engine(config, providers={spec: FakeProvider(tmp_path / "cloud")})


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"power_off": "ends", "watchdog": "startup"}, None),
        ({"power_off": "ends", "watchdog": "none"}, "no watchdog"),
        ({"power_off": "keeps", "watchdog": "startup"}, "does not end its bill"),
        ({"power_off": "restarts", "watchdog": "startup"}, "started again"),
        ({"power_off": "unknown", "watchdog": "login"}, "not known"),
        ({"capabilities": ("local",)}, None),
    ],
)
def test_each_fact_of_a_vendor_has_its_words(facts: dict[str, Any], words: str | None, tmp_path: Path) -> None:
    offers = [fake_offer(price=Money("3")), fake_offer("dearer", price=Money("5"))]
    found = exposures(engine(tmp_path, evolve(_RENTED, **facts)), offers, 4)
    if words is None:
        assert found == ()
    else:
        (one,) = found
        assert one.hourly == Money("20")
        assert words in str(one)
        assert "$20.00 an hour" in str(one)


def test_what_costs_nothing_exposes_nothing(tmp_path: Path) -> None:
    assert exposures(engine(tmp_path, _RENTED), [fake_offer(price=Money("0"))], 1) == ()


def test_a_run_is_not_left_alone_unasked(tmp_path: Path) -> None:
    slow = evolve(_RENTED, timings=evolve(_RENTED.timings, boot=3600))

    def client() -> Client:
        cloud = FakeProvider(tmp_path / "cloud", boot_seconds=3600)
        return Client(state=tmp_path / "s", cache=tmp_path / "c", providers={slow: cloud})

    rented = threading.Event()
    with client() as first, client() as second, ThreadPoolExecutor(1) as pool:
        job = Job("true", resources="H100:8", name="long")
        running = pool.submit(first.run, job, on_event=lambda event: rented.set() if event.kind == "node.owned" else None)
        assert rented.wait(60)
        with pytest.raises(ExposureNotAccepted, match=r"\$24\.00 an hour") as refusal:
            second.detach("long")
        second.stop("long")
        assert running.result(60).state is RunState.STOPPED
    assert "--accept-exposure" in str(refusal.value)
    assert not (tmp_path / "s/follower.log").exists()


def test_what_limits_a_run_that_nobody_follows_is_said(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "cloud")}) as client:
        free = client.run(Job("true", resources="H100:8"))
        bound = client.run(Job("true", resources="H100:8", limits={"duration": "6h", "total": 40}))
        assert "no limit ends the job" in client.unfollowed(free.id)[0]
        assert client.unfollowed(bound.id) == [
            "the node ends the job after 6h",
            "the node ends the job after $40.00 of machine time",
        ]
