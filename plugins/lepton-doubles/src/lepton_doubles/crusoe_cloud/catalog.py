"""What Crusoe Cloud's double sells. Types and sizes follow the vendor's own examples; prices are made up to be easy to add."""

from __future__ import annotations

from typing import Any

from lepton_sdk.testing.doubles import Stock

__all__ = ["LOCATIONS", "TYPES", "hourly", "network_of", "quota_of", "stock"]

LOCATIONS = ["us-east1-a", "us-northcentral1-a"]
# name, gpu_type, GPUs, CPUs, memory GB, disk GB, dollars per hour, machines per location
_ROWS: list[tuple[str, str, int, int, int, int, str, int]] = [
    ("h100-80gb-sxm-ib.8x", "H100-SXM-80GB", 8, 176, 960, 7680, "31.2", 2),
    ("a100-80gb.1x", "A100-PCIe-80GB", 1, 12, 120, 960, "2.0", 4),
    ("a100-80gb.2x", "A100-PCIe-80GB", 2, 24, 240, 1920, "4.0", 2),
    ("l40s-48gb.1x", "L40S-48GB", 1, 8, 147, 0, "1.5", 6),
    ("c1a.4x", "", 0, 4, 16, 0, "0.2", 50),
]
TYPES: list[dict[str, Any]] = [
    {
        "product_name": name,
        "description": f"{gpus}x {gpu}" if gpus else f"{cpus} CPUs",
        "cpu_cores": cpus,
        "cpu_type": "AMD EPYC",
        "memory_gb": memory,
        "memory_type": "DDR5",
        "disk_gb": disk,
        "disk_type": "NVMe",
        "num_gpu": gpus,
        "gpu_type": gpu,
    }
    for name, gpu, gpus, cpus, memory, disk, _, _ in _ROWS
]


def stock() -> Stock:
    """The stock at the start."""
    return Stock({(row[0], location): row[7] for row in _ROWS for location in LOCATIONS})


def hourly(kind: str) -> str:
    """The price of a machine, in US dollars per hour."""
    return next(row[6] for row in _ROWS if row[0] == kind)


def quota_of(kind: str) -> str:
    """The quota that a type counts against."""
    return kind.rpartition(".")[0]


def network_of(location: str) -> str:
    """Id of the one InfiniBand network of a location."""
    return f"5f0e4f3c-0000-4000-8000-00000000{LOCATIONS.index(location):04d}"
