"""Health is a pure judgement of what a probe saw."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_byoc.health import Health, History, judge, overall
from lepton_byoc.xids import Action, xid_class

FATAL_REBOOT = [9, 12, 16, 18, 19, 26, 27, 28, 29, 30, 33, 34, 35, 36, 42, 46, 47, 59, 60, 61, 78, 32, 38, 44, 48, 62, 63, 64]
FATAL_REBOOT += [65, 68, 69, 74, 79, 94, 95, 110, 119, 120, 121, 123, 140]


def gpu(index: int = 0, **changes: Any) -> dict[str, Any]:
    healthy = {
        "index": index,
        "failure": None,
        "said": None,
        "uuid": f"GPU-{index}",
        "name": "NVIDIA H100 80GB HBM3",
        "pci": f"00000000:{0x10 + index:02X}:00.0",
        "memory_bytes": 85520809984,
        "mig": False,
        "persistence": 1,
        "ecc": True,
        "ecc_corrected": 0,
        "ecc_uncorrected": 0,
        "remapped": {"corrected": 0, "uncorrected": 0, "pending": False, "failure": False},
        "clocks_event_reasons": 0,
        "temperature": 35,
        "temperature_max": 87,
        "temperature_slowdown": 89,
        "temperature_shutdown": 92,
        "memory_temperature": 42,
        "memory_temperature_max": 95,
        "nvlinks": {"active": 18, "inactive": 0},
        "fabric": {"state": "completed", "status": 0, "health_mask": 0},
        "pids": [],
    }
    return healthy | changes


def probe(*gpus: dict[str, Any], host: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    facts = {
        "root_disk": {"bytes": 2 * 10**12, "free_bytes": 10**12, "kind": "nvme", "raid": "raid1"},
        "nvswitches": 4,
        "nvidia_cards": 8,
        "fabric_manager": "580.95.05",
        "fabric_manager_state": "active",
        "infiniband": [{"device": f"mlx5_{n}", "port": "1", "state": "ACTIVE", "gbps": 400} for n in range(8)],
    }
    driver = {"state": "ready", "said": None, "version": "580.95.05", "cuda": "13.0"}
    seen = {"host": facts | (host or {}), "driver": driver, "gpus": list(gpus or (gpu(0), gpu(1)))}
    return seen | {"xids": [], "xids_since_boot": True} | changes


def test_what_is_as_it_should_be_is_healthy() -> None:
    assert judge(probe()) == []
    assert overall([]) is Health.HEALTHY


def _fabric(state: str, mask: int = 0) -> dict[str, Any]:
    return {"state": state, "status": 0, "health_mask": mask}


LOST = {"index": 1, "failure": "lost", "said": "GPU is lost"}


@pytest.mark.parametrize(
    ("seen", "component", "health", "action"),
    [
        (probe(gpu(), LOST), "nvml", Health.UNHEALTHY, Action.REBOOT),
        (probe(gpu(), LOST | {"failure": "reset-required"}), "nvml", Health.UNHEALTHY, Action.REBOOT),
        (probe(gpu(), LOST | {"failure": "query-failed"}), "nvml", Health.UNHEALTHY, Action.NONE),
        (probe(driver={"state": "absent", "said": "no library"}), "nvml", Health.UNKNOWN, Action.NONE),
        (probe(driver={"state": "broken", "said": "version mismatch"}), "nvml", Health.UNHEALTHY, Action.REBOOT),
        (probe(gpu(remapped={"pending": True, "failure": False})), "remapped-rows", Health.UNHEALTHY, Action.REBOOT),
        (probe(gpu(remapped={"pending": True, "failure": True})), "remapped-rows", Health.UNHEALTHY, Action.INSPECT),
        (probe(gpu(remapped=None)), "remapped-rows", Health.UNKNOWN, Action.NONE),
        (probe(gpu(temperature=88)), "temperature", Health.DEGRADED, Action.NONE),
        (probe(gpu(memory_temperature=96)), "temperature", Health.DEGRADED, Action.NONE),
        (probe(gpu(temperature=None)), "temperature", Health.UNKNOWN, Action.NONE),
        (probe(gpu(persistence=0)), "persistence-mode", Health.UNHEALTHY, Action.NONE),
        (probe(gpu(fabric=_fabric("in-progress"))), "fabric-manager", Health.UNHEALTHY, Action.REBOOT),
        (probe(gpu(fabric=_fabric("completed", mask=1))), "fabric-manager", Health.UNHEALTHY, Action.REBOOT),
        (probe(host={"fabric_manager": ""}), "fabric-manager", Health.UNHEALTHY, Action.NONE),
        (probe(host={"fabric_manager_state": "inactive"}), "fabric-manager", Health.UNHEALTHY, Action.NONE),
        (probe(*(gpu(n, nvlinks={"active": 0, "inactive": 18}) for n in (0, 1))), "nvlink", Health.UNHEALTHY, Action.REBOOT),
        (probe(host={"infiniband": [{"state": "DOWN", "gbps": 400}]}), "infiniband", Health.UNHEALTHY, Action.NONE),
        (probe(host={"root_disk": {"free_bytes": 10**8}}), "disk", Health.DEGRADED, Action.NONE),
        (probe(gpu(clocks_event_reasons=0x40)), "hw-slowdown", Health.DEGRADED, Action.NONE),
        (probe(xids_since_boot=False, xids=None), "error-xid", Health.UNKNOWN, Action.NONE),
        (probe(xids=[{"xid": 79, "pci": "0000:10:00"}]), "error-xid", Health.UNHEALTHY, Action.REBOOT),
        (probe(xids=[{"xid": 81, "pci": "0000:10:00"}]), "error-xid", Health.UNHEALTHY, Action.INSPECT),
        (probe(xids=[{"xid": 13, "pci": "0000:10:00"}]), "error-xid", Health.HEALTHY, Action.CHECK_JOB),
    ],
)  # fmt: skip
def test_each_rule(seen: dict[str, Any], component: str, health: Health, action: Action) -> None:
    (finding,) = judge(seen)
    assert (finding.component, finding.health, finding.action) == (component, health, action)


def test_other_products_are_not_held_to_the_rules_of_these() -> None:
    card = gpu(name="NVIDIA L4", remapped=None, fabric=None, nvlinks=None, persistence=None)
    assert judge(probe(card, host={"nvswitches": 0, "infiniband": [{"state": "DOWN", "gbps": 100}]})) == []
    pcie = gpu(name="NVIDIA H100 PCIe", fabric={"state": "not-started", "status": 0, "health_mask": 0})
    assert judge(probe(pcie, host={"fabric_manager": ""})) == []


def test_history_makes_a_count_a_rate_and_an_escalation() -> None:
    assert judge(probe(), History(gpus=3))[0].component == "gpu-counts"
    seen = probe(gpu(clocks_event_reasons=8))
    (five,) = judge(seen, History(slowdowns={"GPU-0": [1, 2, 3, 4, 5]}))
    assert (five.health, five.action) == (Health.UNHEALTHY, Action.INSPECT)
    (long_ago,) = judge(seen, History(slowdowns={"GPU-0": [1, 2, 3, 4, 11]}))
    assert long_ago.health is Health.DEGRADED
    again = probe(xids=[{"xid": 79, "pci": "00000000:10:00.0"}])
    (escalated,) = judge(again, History(reboots={(79, "0000:10:00"): 2}))
    assert (escalated.action, escalated.gpu) == (Action.INSPECT, "GPU-0")


@pytest.mark.parametrize("xid", FATAL_REBOOT)
def test_fatal_xids_call_for_a_reboot_then_for_an_inspection(xid: int) -> None:
    assert [xid_class(xid, reboots) for reboots in range(3)] == [
        (True, Action.REBOOT),
        (True, Action.REBOOT),
        (True, Action.INSPECT),
    ]


_CARDS = st.builds(
    lambda index, changes: gpu(index, **changes),
    st.integers(0, 7),
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["NVIDIA L4", "NVIDIA A100-SXM4-80GB", None]),
            "remapped": st.none() | st.fixed_dictionaries({"pending": st.booleans(), "failure": st.booleans()}),
            "temperature": st.none() | st.integers(0, 120),
            "temperature_max": st.none() | st.integers(60, 100),
            "persistence": st.sampled_from([None, 0, 1]),
            "clocks_event_reasons": st.none() | st.integers(0, 511),
            "nvlinks": st.none() | st.fixed_dictionaries({"active": st.integers(0, 18), "inactive": st.integers(0, 18)}),
            "fabric": st.none(),
            "pci": st.none(),
            "uuid": st.none(),
        },
    ),
)
_FAILED = st.builds(lambda kind: LOST | {"failure": kind}, st.sampled_from(["lost", "reset-required", "query-failed"]))


# How long a draw takes says more of the machine than of the strategy.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(_CARDS | _FAILED, max_size=8), st.booleans())
def test_a_judgement_never_fails_and_bad_news_never_helps(cards: list[dict[str, Any]], readable: bool) -> None:
    order = list(Health)
    seen = probe(xids_since_boot=readable) | {"gpus": cards}
    before = overall(judge(seen))
    worse = overall(judge(seen | {"gpus": [*cards, LOST]}))
    assert worse is Health.UNHEALTHY
    assert order.index(overall(judge(seen | {"xids": [{"xid": 79, "pci": None}]}))) >= order.index(before)
    assert readable or before is not Health.HEALTHY
    # Whatever was seen, without a driver nothing is known to be well.
    assert overall(judge(seen | {"driver": {"state": "absent", "said": "gone"}})) is Health.UNKNOWN
