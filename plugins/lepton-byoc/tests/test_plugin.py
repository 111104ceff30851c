"""What the plugin says of itself, and its factory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from attrs import evolve

from lepton_byoc.allocations import Allocations
from lepton_byoc.machine import hostname
from lepton_byoc.plugin import PROVIDER
from lepton_byoc.provider import OwnMachines, create
from lepton_sdk.spi import ConfigError, Money, Node, Offer, Provider, ProviderContext, Resources, Unavailable
from lepton_sdk.testing import SystemClock


class _NoPacer:
    async def wait(self, bucket: str = "") -> None:
        return


def _context(folder: Path, price: float) -> ProviderContext:
    return ProviderContext("byoc", {"price_per_hour": price}, None, _NoPacer(), SystemClock(), folder, folder, None)  # type: ignore[arg-type]


class _SleeplessClock(SystemClock):
    """Time that passes only in sleep."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def _first_offer(provider: OwnMachines) -> Offer:
    async def first() -> Offer:
        return await anext(provider.offers(Resources()))

    return asyncio.run(first())


def test_the_entry_point_leads_to_the_spec() -> None:
    (entry,) = entry_points(group="lepton_sdk.providers.v1", name="byoc")
    assert entry.load() is PROVIDER


def test_the_spec_is_light() -> None:
    code = "import sys, lepton_byoc.plugin; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "lepton_sdk.spi.spec" in imported
    assert not imported & {"httpx", "asyncio", "pynvml", "ctypes", "lepton_byoc.provider"}


def test_it_is_a_provider(tmp_path: Path) -> None:
    assert isinstance(create(_context(tmp_path, 0.0)), Provider)


@pytest.mark.parametrize(("given", "shown", "source"), [(0.0, "0", "own machine"), (2.5, "2.5", "price set in config")])
def test_the_price_is_the_users(tmp_path: Path, given: float, shown: str, source: str) -> None:
    offer = _first_offer(create(_context(tmp_path, given)))
    assert offer.price == Money(shown)
    assert source in offer.price_source
    assert str(offer.terms) == "owned"


def test_a_negative_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"price_per_hour: -1\.0 is negative"):
        create(_context(tmp_path, -1.0))


def test_a_process_that_sits_on_the_record_is_told_and_nothing_changes(tmp_path: Path) -> None:
    clock = _SleeplessClock()
    provider = create(evolve(_context(tmp_path, 0.0), clock=clock))
    record = Allocations(tmp_path, hostname(), "")
    with record.lock(), pytest.raises(Unavailable, match=r"has held .*allocations-.* for 15 seconds"):
        asyncio.run(provider.release(Node("byoc", "byoc-t1")))
    assert 15 <= clock.seconds < 16
    assert not record.path.exists()
