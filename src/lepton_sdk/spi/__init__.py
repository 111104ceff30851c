"""The door for plugin authors: specs, contracts and the values that they exchange with core.

Names load on first use, so that a spec module which imports ``ProviderSpec`` from here stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lepton_sdk._clock import Clock
    from lepton_sdk.domain.access import Access, CustomAccess, LocalAccess, SSHAccess
    from lepton_sdk.domain.gpu import Gpu
    from lepton_sdk.domain.job import Job
    from lepton_sdk.domain.money import Money
    from lepton_sdk.domain.node import Node, NodeState
    from lepton_sdk.domain.offer import Availability, Offer, Terms, TermsKind
    from lepton_sdk.domain.resources import GpuRequest, Resources
    from lepton_sdk.errors import (
        AuthError,
        BlockScope,
        ConfigError,
        ContractViolation,
        Interrupted,
        LeptonError,
        MarketError,
        NoCapacity,
        NodeError,
        NodeGarbled,
        NodeLost,
        NodeUnreachable,
        OfferGone,
        OutcomeUnknown,
        QuotaExceeded,
        RateLimited,
        Unavailable,
        UsageError,
    )
    from lepton_sdk.spi.executor import (
        CommandingExecutor,
        CommandResult,
        Execution,
        ExecutionState,
        ExecutionStatus,
        Executor,
        ExecutorContext,
        Fetched,
        FetchingExecutor,
        ForgettingExecutor,
        GuardingExecutor,
        Watchdog,
    )
    from lepton_sdk.spi.provider import Diagnosis, Launch, Pacer, Provider, ProviderContext, RemoteShell
    from lepton_sdk.spi.reference import reference_offers
    from lepton_sdk.spi.secret import Secret
    from lepton_sdk.spi.spec import (
        CommandSpec,
        ConfigField,
        ExecutorSpec,
        ObserverSpec,
        PowerOff,
        ProviderSpec,
        Timings,
        WatchdogWay,
    )
    from lepton_sdk.spi.sshkeys import KeyPair

_HOMES = {
    "lepton_sdk._clock": ("Clock",),
    "lepton_sdk.domain.access": ("Access", "CustomAccess", "LocalAccess", "SSHAccess"),
    "lepton_sdk.domain.gpu": ("Gpu",),
    "lepton_sdk.domain.job": ("Job",),
    "lepton_sdk.domain.money": ("Money",),
    "lepton_sdk.domain.node": ("Node", "NodeState"),
    "lepton_sdk.domain.offer": ("Availability", "Offer", "Terms", "TermsKind"),
    "lepton_sdk.domain.resources": ("GpuRequest", "Resources"),
    "lepton_sdk.errors": (
        "AuthError",
        "BlockScope",
        "ConfigError",
        "ContractViolation",
        "Interrupted",
        "LeptonError",
        "MarketError",
        "NoCapacity",
        "NodeError",
        "NodeLost",
        "NodeGarbled",
        "NodeUnreachable",
        "OfferGone",
        "OutcomeUnknown",
        "QuotaExceeded",
        "RateLimited",
        "Unavailable",
        "UsageError",
    ),
    "lepton_sdk.spi.executor": (
        "CommandResult",
        "CommandingExecutor",
        "Execution",
        "ExecutionState",
        "ExecutionStatus",
        "Executor",
        "ExecutorContext",
        "Fetched",
        "FetchingExecutor",
        "ForgettingExecutor",
        "GuardingExecutor",
        "Watchdog",
    ),
    "lepton_sdk.spi.provider": ("Diagnosis", "Launch", "Pacer", "Provider", "ProviderContext", "RemoteShell"),
    "lepton_sdk.spi.reference": ("reference_offers",),
    "lepton_sdk.spi.secret": ("Secret",),
    "lepton_sdk.spi.spec": (
        "CommandSpec",
        "ConfigField",
        "ExecutorSpec",
        "ObserverSpec",
        "PowerOff",
        "ProviderSpec",
        "Timings",
        "WatchdogWay",
    ),
    "lepton_sdk.spi.sshkeys": ("KeyPair",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Access",
    "AuthError",
    "Availability",
    "BlockScope",
    "Clock",
    "CommandResult",
    "CommandSpec",
    "CommandingExecutor",
    "ConfigError",
    "ConfigField",
    "ContractViolation",
    "CustomAccess",
    "Diagnosis",
    "Execution",
    "ExecutionState",
    "ExecutionStatus",
    "Executor",
    "ExecutorContext",
    "ExecutorSpec",
    "Fetched",
    "FetchingExecutor",
    "ForgettingExecutor",
    "Gpu",
    "GpuRequest",
    "GuardingExecutor",
    "Interrupted",
    "Job",
    "KeyPair",
    "Launch",
    "LeptonError",
    "LocalAccess",
    "MarketError",
    "Money",
    "NoCapacity",
    "Node",
    "NodeError",
    "NodeGarbled",
    "NodeLost",
    "NodeState",
    "NodeUnreachable",
    "ObserverSpec",
    "Offer",
    "OfferGone",
    "OutcomeUnknown",
    "Pacer",
    "PowerOff",
    "Provider",
    "ProviderContext",
    "ProviderSpec",
    "QuotaExceeded",
    "RateLimited",
    "RemoteShell",
    "Resources",
    "SSHAccess",
    "Secret",
    "Terms",
    "TermsKind",
    "Timings",
    "Unavailable",
    "UsageError",
    "Watchdog",
    "WatchdogWay",
    "reference_offers",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
