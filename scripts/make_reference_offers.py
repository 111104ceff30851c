"""Makes the embedded reference offers and the price ranges from a table of list prices.

Reads ``prices.csv`` under ``LEPTON_SPECS_DIR`` (default ``../shared/specs`` beside the repository) and writes
``reference.tsv`` and ``price_ranges.tsv`` of `lepton_sdk.catalog`. The same input gives the same bytes. What is left
out is printed with the reason. ``--check`` writes nothing and fails when the files differ from a fresh run.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from lepton_sdk.catalog.reference import COLUMNS
from lepton_sdk.domain.gpu import Gpu

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "lepton_sdk" / "catalog"

Row = dict[str, str]


def specs_dir() -> Path:
    """Where the published facts are."""
    return Path(os.environ.get("LEPTON_SPECS_DIR") or ROOT.parent / "shared" / "specs")


def gpu_of(text: str) -> Gpu:
    """The GPU that a price list names; remarks in brackets do not belong to its name."""
    return Gpu.parse(re.sub(r"\(.*?\)", "", text)).completed()


def instance_type(written: str, gpu: Gpu, count: str) -> str:
    """The vendor's own name, or one made from the GPU where the list gives none or a price per GPU."""
    if "per GPU)" in written and not re.match(r"\S+ \(\d", written):
        return f"{gpu}-per-gpu".lower()
    name = re.sub(r"\(.*?\)", "", written).strip()
    if not name:
        return f"{gpu.model}-{count}x".lower()
    return re.sub(r"\s+", "-", name.lower()) if " " in name else name


def source_of(written: str) -> str:
    """The primary source, without remarks and without the ways that it came."""
    return re.split(r"[;,]| \(| via | scrape ", written)[0].strip()


def day_of(written: str) -> date | None:
    """The day that a price was read; ``None`` when the list does not know it."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def offers_of(line: Row) -> Iterator[Row]:
    """One row for each region and each set of terms of a line."""
    gpu = gpu_of(line["gpu"])
    for region in line["region"].split(";"):
        for terms, price in (("on-demand", line["price_usd_hour"]), ("spot", line["spot_price_usd_hour"])):
            if not price:
                continue
            yield {
                "provider": line["provider"],
                "instance_type": instance_type(line["instance_type"], gpu, line["gpu_count"]),
                "region": re.sub(r"\s+", "-", region.strip().lower()) or "*",
                "terms": terms,
                "model": gpu.model,
                "form_factor": gpu.form_factor or "",
                "gpu_memory_gib": str(gpu.memory_gib or ""),
                "architecture": gpu.architecture or "",
                "gpu_count": line["gpu_count"],
                "cpus": line["vcpu"],
                "memory_gib": line["ram_gib"],
                "disk_gib": line["storage_gib"],
                "interconnect": re.sub(r"\s*\(.*?\)", "", line["interconnect"]).strip(),
                "price": price,
                "source": source_of(line["source"]),
                "as_of": line["as_of"],
            }


def key_of(row: Row) -> tuple[str, ...]:
    return (row["provider"], row["instance_type"], row["region"], row["terms"])


def select(lines: Iterable[Row], left_out: list[str]) -> list[Row]:
    """The newest row of each offer, in order; what is left out is said in ``left_out``."""
    newest: dict[tuple[str, ...], Row] = {}
    for line in lines:
        if day_of(line["as_of"]) is None:
            left_out.append(f"{line['provider']} {line['instance_type']}: the date is {line['as_of']!r}")
            continue
        if not line["price_usd_hour"]:
            left_out.append(f"{line['provider']} {line['instance_type']} {line['region']}: no price on demand")
        for row in offers_of(line):
            known = newest.get(key_of(row))
            older = min((known, row), key=lambda item: item["as_of"]) if known else None
            if older is not None:
                left_out.append(f"{' '.join(key_of(older))}: {older['price']} of {older['as_of']} is superseded")
            if known is None or older is known:
                newest[key_of(row)] = row
    return [newest[key] for key in sorted(newest)]


def ranges(rows: list[Row]) -> list[str]:
    """Lowest and highest price on demand and lowest spot price per GPU-hour, by model."""
    each: dict[tuple[str, str], list[Decimal]] = {}
    for row in rows:
        each.setdefault((row["model"], row["terms"]), []).append(Decimal(row["price"]) / int(row["gpu_count"]))
    lines = []
    for model in sorted({model for model, _ in each}):
        asked, spot = each.get((model, "on-demand")), each.get((model, "spot"))
        if asked:
            figures = (min(asked), max(asked), min(spot) if spot else None)
            lines.append("\t".join([model, *("" if f is None else f"{f.normalize():f}" for f in figures)]))
    return lines


def render(lines: Iterable[Row], left_out: list[str]) -> dict[str, str]:
    """The text of each data file by name."""
    rows = select(lines, left_out)
    body = ["\t".join(row[column] for column in COLUMNS) for row in rows]
    made = "made by scripts/make_reference_offers.py"
    columns = "# " + "\t".join(COLUMNS)
    return {
        "reference.tsv": "\n".join([f"# List prices per node-hour in USD, {made}", columns, *body, ""]),
        "price_ranges.tsv": "\n".join(
            [f"# USD per GPU-hour in reference.tsv, {made}", "# model\tlowest\thighest\tlowest spot", *ranges(rows), ""]
        ),
    }


def read_prices(folder: Path) -> list[Row]:
    with (folder / "prices.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="write nothing; fail when the files are not up to date")
    check = arguments.parse_args().check
    left_out: list[str] = []
    files = render(read_prices(specs_dir()), left_out)
    stale = [name for name, text in files.items() if not _holds(TARGET / name, text)]
    for name in () if check else stale:
        (TARGET / name).write_text(files[name], encoding="utf-8")
    print("\n".join(f"left out: {line}" for line in left_out))  # noqa: T201
    print(f"{files['reference.tsv'].count(chr(10)) - 2} offers; changed: {', '.join(stale) or 'nothing'}")  # noqa: T201
    return 1 if check and stale else 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
