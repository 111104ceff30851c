"""The local executor's record: nothing else is imported until a job runs here."""

from __future__ import annotations

from lepton_sdk.spi.spec import ExecutorSpec

__all__ = ["EXECUTOR"]

EXECUTOR = ExecutorSpec(
    "local",
    access="local",
    factory="lepton_sdk._executors.transports.local.executor:create",
    title="Processes of this host",
    capabilities={"fetch", "forward", "here", "shell"},
)
