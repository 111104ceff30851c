"""CPUs and memory as cgroups allow them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lepton_byoc import machine


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_limits_it_is_what_the_kernel_gives(tmp_path: Path) -> None:
    assert machine.cpus(tmp_path) == len(os.sched_getaffinity(0))
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.memory_gib(tmp_path) == pytest.approx(total / 2**30, abs=0.01)


def test_the_tightest_group_above_us_counts(tmp_path: Path) -> None:
    root = _tree(tmp_path, {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
        "sys/fs/cgroup/a/memory.max": "1073741824\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
    })  # fmt: skip
    assert machine.cpus(root) == 0.5
    assert machine.memory_gib(root) == 1.0


def test_version_1_groups_count_as_well(tmp_path: Path) -> None:
    root = _tree(tmp_path, {
        "proc/self/cgroup": "3:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n",
        # In a container only its own part of the tree is mounted, at the top.
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "75000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
    })  # fmt: skip
    assert machine.cpus(root) == 0.75
    assert machine.memory_gib(root) == 0.5


def test_no_quota_is_no_limit(tmp_path: Path) -> None:
    root = _tree(tmp_path, {"proc/self/cgroup": "3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"})
    assert machine.cpus(root) == len(os.sched_getaffinity(0))


def test_disk_of_a_folder_that_is_not_made_yet(tmp_path: Path) -> None:
    assert machine.disk_gib(tmp_path / "not" / "yet") > 0


def test_a_card_on_the_bus_is_seen(tmp_path: Path) -> None:
    assert not machine.has_nvidia_card(tmp_path)
    device = "sys/bus/pci/devices/0000:01:00.0/"
    assert machine.has_nvidia_card(_tree(tmp_path, {device + "vendor": "0x10de\n", device + "class": "0x030200\n"}))
