"""Why no new work comes to a host, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lepton_byoc.observations import Cordon, Look
from lepton_byoc.refusals import Obstacle, host_obstacle
from lepton_byoc.roster import FleetHost

NOW = datetime(2026, 11, 22, 23, 30, 40, tzinfo=UTC)
_HOST = {"time": 0.0, "machine_id": "m", "boot_id": "b", "root_disk": {"free_bytes": None}}
_PROBE: dict[str, Any] = {
    "host": _HOST,
    "driver": {"state": "absent", "said": "none"},
    "gpus": [],
    "xids": [],
    "xids_since_boot": True,
}


def look(**fields: Any) -> Look:
    return Look(NOW, _PROBE, **fields)


@pytest.mark.parametrize(
    ("hours", "until"),
    [
        (["22:00-06:30"], "06:30"),
        (["23:30-23:31"], "23:31"),
        # Spans that touch are one; the midnight between them is no end.
        (["22:00-00:00", "00:00-05:00"], "05:00"),
        (["23:00-01:00", "00:30-02:00"], "02:00"),
    ],
)
def test_quiet_hours_end_when_the_last_of_them_ends(hours: list[str], until: str) -> None:
    host = FleetHost("gpu1", quiet_hours=hours)
    expected = Obstacle(f"gpu1 has quiet hours until {until} UTC", "wait, or change the quiet_hours of gpu1")
    assert host_obstacle(host, look(), NOW) == expected
    end = host.quiet_until(NOW)
    assert end is not None
    assert not host.is_quiet(end)
    assert host.is_quiet(end - timedelta(minutes=1))


def test_quiet_all_day_has_no_end() -> None:
    why = host_obstacle(FleetHost("gpu1", quiet_hours=["00:00-12:00", "12:00-00:00"]), look(), NOW)
    assert why is not None
    assert why.what == "gpu1 has quiet hours at all hours"


def test_a_host_that_nothing_is_wrong_with_is_not_left_out() -> None:
    assert host_obstacle(FleetHost("gpu1", quiet_hours=["01:00-02:00"]), look(), NOW) is None


def test_a_cordon_of_an_earlier_version_and_an_old_look_are_told_as_such() -> None:
    why = host_obstacle(FleetHost("gpu1"), look(cordon=Cordon("new disks")), NOW + timedelta(hours=2))
    assert why is not None
    assert why.what == "gpu1 is cordoned: new disks (last looked at 2026-11-22 23:30 UTC)"


def test_a_cordon_says_who_set_it_and_when() -> None:
    why = host_obstacle(FleetHost("gpu1", gpus=2), look(cordon=Cordon("bad", "the health check", 1.0e9)), NOW)
    assert why is not None
    assert why.what == "gpu1 is cordoned by the health check since 2001-09-09 01:46 UTC: bad"
