"""The SSH executor's record: nothing else is imported until a job runs on a host behind SSH."""

from __future__ import annotations

from lepton_sdk.spi.spec import ExecutorSpec

__all__ = ["EXECUTOR"]

EXECUTOR = ExecutorSpec(
    "ssh",
    access="ssh",
    factory="lepton_sdk._executors.transports.ssh.executor:create",
    title="Processes of hosts behind SSH",
    capabilities={"command", "fetch", "forget", "forward", "guard", "shell", "ssh_config"},
)
