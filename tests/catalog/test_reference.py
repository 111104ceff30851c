from __future__ import annotations

import csv
import importlib.util
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from lepton_sdk.catalog import reference_catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.offer import Availability

ROOT = Path(__file__).resolve().parents[2]
SPECS = Path(os.environ.get("LEPTON_SPECS_DIR") or ROOT.parent / "shared" / "specs")
SCRIPT = ROOT / "scripts" / "make_reference_offers.py"

needs_specs = pytest.mark.skipif(
    not (SPECS / "prices.csv").exists() or not SCRIPT.exists(),
    reason="the published facts (LEPTON_SPECS_DIR) or the script are not here",
)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("make_reference_offers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_row_says_where_and_when_its_price_was_read() -> None:
    catalog = reference_catalog()
    assert len(catalog) > 100
    for offer in catalog:
        assert offer.reference
        assert offer.availability is Availability.UNKNOWN
        assert offer.price is not None
        assert offer.price.amount > 0
        assert offer.seen_at is not None
        assert offer.seen_at.tzinfo is UTC
        read = offer.seen_at.date().isoformat()
        assert offer.price_source.startswith("reference: ")
        assert offer.price_source.endswith(f", read {read}")
        assert len(offer.price_source) > len("reference: , read 2026-01-01")
        assert offer.gpu is not None
        assert Gpu.parse(str(offer.gpu)) == offer.gpu
        assert " " not in offer.instance_type + offer.region


def test_no_offer_stands_twice_and_none_is_in_doubt() -> None:
    rows = list(reference_catalog())
    assert len({row.key for row in rows}) == len(rows)
    assert [row.key for row in rows if row.flags] == []


def test_it_is_read_once() -> None:
    assert reference_catalog() is reference_catalog()


@needs_specs
def test_the_shipped_files_are_what_the_script_makes(script: ModuleType) -> None:
    lines = script.read_prices(SPECS)
    left_out: list[str] = []
    for name, text in script.render(lines, left_out).items():
        assert (script.TARGET / name).read_text(encoding="utf-8") == text
    assert any("the date is 'unknown" in line for line in left_out)
    assert any("superseded" in line for line in left_out)


@needs_specs
def test_every_price_stands_in_the_published_table() -> None:
    with (SPECS / "prices.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    published = {
        (line["provider"], terms, Decimal(line[column]), int(line["gpu_count"]), line["as_of"])
        for line in lines
        for terms, column in (("on-demand", "price_usd_hour"), ("spot", "spot_price_usd_hour"))
        if line[column]
    }
    shipped = {
        (row.provider, str(row.terms), row.price.amount, row.gpu_count, row.seen_at.date().isoformat())
        for row in reference_catalog()
        if row.price is not None and row.seen_at is not None
    }
    assert shipped <= published
    # What is published and not shipped is older than what is shipped, or of unknown date.
    days = {row[4] for row in published - shipped}
    newest = max(row[4] for row in shipped)
    assert all("unknown" in day or date.fromisoformat(day) < date.fromisoformat(newest) for day in days)


@needs_specs
def test_every_gpu_of_the_published_tables_is_known(script: ModuleType) -> None:
    with (SPECS / "prices.csv").open(encoding="utf-8", newline="") as file:
        texts = {line["gpu"] for line in csv.DictReader(file)}
    with (SPECS / "gpus.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(script.gpu_of(text).model for text in texts)
    for row in rows:
        gpu = script.gpu_of(row["model"])
        nominal = int(row["memory_gb_nominal"])
        named = Gpu.nominal(row["nvml_name"] or row["model"], nominal * 2**30)
        assert named.memory_gib == nominal, row["model"]
        assert (named.model, named.architecture) == (gpu.model, gpu.architecture or named.architecture)
        assert named.architecture == row["architecture"]


def test_the_day_is_midnight_utc() -> None:
    offer = next(iter(reference_catalog()))
    assert offer.seen_at is not None
    assert (offer.seen_at.hour, offer.seen_at.utcoffset()) == (0, UTC.utcoffset(None))
