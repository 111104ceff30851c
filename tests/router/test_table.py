"""Plans as aligned text."""

from __future__ import annotations

from datetime import UTC, datetime

from market import box, plan_of

from lepton_sdk.domain.job import Job


def test_the_table_of_candidates() -> None:
    seen = datetime(2026, 9, 20, tzinfo=UTC)
    job = Job("true", resources="H100:8", limits={"duration": "6h"})
    rows = [box(seen_at=seen, reference=True, start_seconds=300), box(instance_type="bigger", price=None, cpus=None)]
    head, first, second = plan_of(job, *rows).table().splitlines()
    assert " ".join(head.split()) == ("# provider instance type region GPUs CPUs memory terms per hour expected start price read")
    assert " ".join(first.split()) == (
        "1 acme big north-1 H100-SXM-80GB:8 124 1800 GiB on-demand $49.24 $295.44 5m 2026-09-20 (list price)"
    )
    assert " ".join(second.split()) == "2 acme bigger north-1 H100-SXM-80GB:8 ? 1800 GiB on-demand ? - ? -"
    assert head.index("GPUs") == first.index("H100") == second.index("H100")
