"""The market as it is now, and the plan for a job in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import (
    NoOffers,
)
from lepton_sdk.spi import Resources
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_a_job_that_nothing_satisfies_says_by_how_much(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob, tmp_path: Path
) -> None:
    with pytest.raises(NoOffers, match="14 above"):
        make_client(cloud).run(make_job(limits={"hourly": 10}, resources={"gpu": "H100:8", "providers": ["fake"]}))
    assert not (tmp_path / "state" / "journal.db").exists()


def test_a_provider_that_breaks_costs_only_its_own_rows(tmp_path: Path) -> None:
    class Broken(FakeProvider):
        async def offers(self, resources: Resources):  # type: ignore[no-untyped-def]
            yield fake_offer("first")
            raise RuntimeError("parser met a list")

    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: Broken(tmp_path / "f")}) as client:
        plan = client.route(Job("true", resources="H100:8"))
        assert [candidate.offer.instance_type for candidate in plan] == ["first"]
        assert any("parser met a list" in line for line in client.warnings())
        assert any(offer.provider != "fake" for offer in client.offers("H100:8"))


def test_offers_in_anothers_name_are_refused(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "f", [fake_offer(provider="lambda")])
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
        assert client.route(Job("true", resources="H100:8")).best is None
        assert any("provider of offer 'h100x8' is 'lambda'" in line for line in client.warnings())
