"""lepton_sdk: one Python API over every place that has GPUs.

>>> from lepton_sdk import Job
>>> Job("python train.py", resources="H100:8").resources.gpu[0].count
8
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lepton_sdk._jobfile import load_job
    from lepton_sdk.aio import AsyncClient
    from lepton_sdk.client import Client
    from lepton_sdk.domain.gpu import Gpu
    from lepton_sdk.domain.job import Job, Limits, Workload
    from lepton_sdk.domain.money import Money
    from lepton_sdk.domain.node import Node, NodeState
    from lepton_sdk.domain.offer import Availability, Offer, Terms
    from lepton_sdk.domain.resources import GpuRequest, Resources
    from lepton_sdk.domain.retry import Retry
    from lepton_sdk.domain.run import Run, RunState
    from lepton_sdk.errors import LeptonError
    from lepton_sdk.router import Plan

# Names load on first use: a program that builds jobs pays for nothing else.
_HOMES = {
    "lepton_sdk._jobfile": ("load_job",),
    "lepton_sdk.aio": ("AsyncClient",),
    "lepton_sdk.client": ("Client",),
    "lepton_sdk.domain.gpu": ("Gpu",),
    "lepton_sdk.domain.job": ("Job", "Limits", "Workload"),
    "lepton_sdk.domain.money": ("Money",),
    "lepton_sdk.domain.node": ("Node", "NodeState"),
    "lepton_sdk.domain.offer": ("Availability", "Offer", "Terms"),
    "lepton_sdk.domain.resources": ("GpuRequest", "Resources"),
    "lepton_sdk.domain.retry": ("Retry",),
    "lepton_sdk.domain.run": ("Run", "RunState"),
    "lepton_sdk.errors": ("LeptonError",),
    "lepton_sdk.router": ("Plan",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncClient",
    "Availability",
    "Client",
    "Gpu",
    "GpuRequest",
    "Job",
    "LeptonError",
    "Limits",
    "Money",
    "Node",
    "NodeState",
    "Offer",
    "Plan",
    "Resources",
    "Retry",
    "Run",
    "RunState",
    "Terms",
    "Workload",
    "__version__",
    "errors",
    "load_job",
    "spi",
    "testing",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        value: object = version("lepton-sdk")
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name in {"errors", "spi", "testing"}:
        value = import_module(f"lepton_sdk.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
