"""The market of Lambda Cloud's double: types, prices and stock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define

from lepton_sdk.testing.doubles import Stock

__all__ = ["REGIONS", "InstanceType", "catalog", "region", "stock"]

REGIONS = {
    "us-east-1": "Virginia, USA",
    "us-west-1": "California, USA",
    "us-south-1": "Texas, USA",
    "europe-central-1": "Germany",
}


@define
class InstanceType:
    """A type, its price in US cents per hour, and the stock of each region at the start."""

    name: str
    gpu: str
    gpus: int
    cpus: int
    memory_gib: int
    disk_gib: int
    cents: int
    regions: dict[str, int]

    def show(self) -> dict[str, Any]:
        """The JSON of a type."""
        specs = {"vcpus": self.cpus, "memory_gib": self.memory_gib, "storage_gib": self.disk_gib, "gpus": self.gpus}
        return {
            "name": self.name,
            "description": f"{self.gpus}x {self.gpu}",
            "gpu_description": self.gpu,
            "price_cents_per_hour": self.cents,
            "specs": specs,
        }


def region(name: str) -> dict[str, str]:
    """The JSON of a region."""
    return {"name": name, "description": REGIONS[name]}


def _rows() -> Iterator[InstanceType]:
    yield InstanceType("gpu_1x_a10", "A10 (24 GB PCIe)", 1, 30, 226, 1331, 129, {"us-east-1": 4, "us-west-1": 2})
    yield InstanceType("gpu_1x_h100_pcie", "H100 (80 GB PCIe)", 1, 26, 225, 1024, 329, {"us-west-1": 1})
    yield InstanceType("gpu_1x_gh200", "GH200 (96 GB)", 1, 64, 432, 4096, 229, {"us-east-1": 2})
    yield InstanceType(
        "gpu_8x_a100_80gb_sxm4", "A100 (80 GB SXM4)", 8, 240, 1800, 19968, 2232, {"us-east-1": 2, "europe-central-1": 1}
    )
    yield InstanceType("gpu_8x_h100_sxm5", "H100 (80 GB SXM5)", 8, 208, 1800, 22528, 3192, {"us-south-1": 1, "us-east-1": 1})
    yield InstanceType("gpu_8x_b200_sxm6", "B200 (180 GB SXM6)", 8, 208, 2900, 22528, 5352, {})


def catalog() -> dict[str, InstanceType]:
    """Every type, by name; new objects, because prices change."""
    return {kind.name: kind for kind in _rows()}


def stock() -> Stock:
    """The stock at the start."""
    return Stock({(kind.name, name): left for kind in _rows() for name, left in kind.regions.items()})
