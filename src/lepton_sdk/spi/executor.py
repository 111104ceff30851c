"""The executor contract: how to run a job on a node of any provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from attrs import field, frozen

from lepton_sdk._clock import Clock
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node

__all__ = [
    "CommandResult",
    "Execution",
    "ExecutionState",
    "ExecutionStatus",
    "Executor",
    "ExecutorContext",
    "Fetched",
    "Watchdog",
]


def _nobody(_: str) -> None:
    """Discard progress."""


def _rented(_: str) -> bool:
    """The default: no provider has hosts of the user's own."""
    return False


@frozen
class ExecutorContext:
    """Everything that an executor's factory gets from core.

    Attributes:
        runs_dir: where files of runs live on this host; ``runs_dir / run_id`` is the run's own.
        progress: takes a short line about something slow, such as sending files, to show to the user; ``""`` when it is over.
        own: whether the machines of a provider, by its name, are the user's own hosts, which keep their address. Used where a
            node's `SSHAccess` does not say so itself.
    """

    clock: Clock = field(repr=False)
    runs_dir: Path
    progress: Callable[[str], None] = field(default=_nobody, repr=False)
    own: Callable[[str], bool] = field(default=_rented, repr=False)


@frozen
class CommandResult:
    """The result of one command on a node.

    Attributes:
        exit_code: ``None`` when a signal ended it.
        output: its standard output, whole.
        errors: its standard error, whole.
    """

    exit_code: int | None
    output: bytes
    errors: bytes


@frozen
class Execution:
    """One start of a job on one node. ``(run_id, attempt, epoch)`` starts at most once; an older epoch is refused.

    Attributes:
        environment: what core and the provider set beside ``job.env`` (``RANK``, ``MASTER_ADDR``, ``CUDA_VISIBLE_DEVICES``…).
        secrets: values of ``job.secrets``; they travel on stdin only. Empty when a later follower attaches.
        time_limit: seconds that the node itself enforces; ``None`` without limit.
        idle_limit: seconds for which every GPU of the node may be idle before the node itself ends the job; an executor that
            cannot measure this never ends it. ``None`` without limit.
        lease: seconds after the last answered `poll` until the node itself stops the execution, which is then lost. A follower
            that cannot reach the node so knows when nothing runs there any more. A late `poll` extends nothing: it carries the
            node's own time from the last answer. ``None`` to run on without a follower, and in a `poll` that only reads. An
            executor whose nodes cannot be out of reach may ignore it.
        watchdog: the folder of the node's watchdog. The executor tells it about the start, and with each `poll` that a follower
            is there. ``""`` without a watchdog. Never set for a machine that was not rented for the run.
    """

    run_id: str
    attempt: int
    epoch: int
    rank: int
    job: Job
    environment: Mapping[str, str] = field(factory=dict, hash=False)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    time_limit: float | None = None
    idle_limit: float | None = None
    lease: float | None = None
    watchdog: str = ""


@frozen
class Watchdog:
    """The program that powers off a rented machine that nobody releases, as an executor sees it.

    Attributes:
        folder: where it lives on the node.
        script: its installer, for the superuser's POSIX shell; ``""`` where the vendor runs it at boot.
    """

    folder: str
    script: str = field(default="", repr=False)


class ExecutionState(StrEnum):
    """The state of an execution on its node. ``absent``: it was never started there. ``lost``: it ended without a result."""

    ABSENT = "absent"
    SETUP = "setup"
    RUNNING = "running"
    FINISHED = "finished"
    LOST = "lost"


@frozen
class ExecutionStatus:
    """What the node reports about an execution.

    Attributes:
        exit_code: of the job; 128 + signal when a signal ended it; ``None`` until it finished.
        signal: name of the signal that ended it (``"SIGKILL"``).
        reason: ``"exit"``, ``"setup"`` (setup failed), ``"timeout"``, ``"idle"`` or ``"cancelled"``.
        started_at, finished_at: as the node's clock says, UTC.
        failures: exit codes of earlier starts of the command here, after each of which the node started it again, as
            ``job.max_failure_retry`` allows.
        ready: it runs and is usable, such as a server that answers; core does not act on it yet.
        addresses: where it is usable then, each ``host:port`` or a URL.
    """

    state: ExecutionState = field(converter=ExecutionState)
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""
    failures: tuple[int, ...] = ()
    ready: bool = False
    addresses: tuple[str, ...] = ()


@runtime_checkable
class Executor(Protocol):
    """A way to run on a node. Each call makes one attempt; failures are raised from `lepton_sdk.errors`."""

    async def start(self, node: Node, execution: Execution) -> None:
        """Send the workdir, then start setup and command so that they outlive this process.

        Create-exclusive: a second start of the same (run, attempt, epoch) changes nothing.

        Raises:
            JobSpecError: the workdir cannot be sent.
            NodeUnreachable: the node did not answer.
        """
        ...

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        """Return the state now; never wait."""
        ...

    def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Yield the output from byte ``offset``; with ``follow``, until the execution has ended."""
        ...

    async def cancel(self, node: Node, execution: Execution) -> None:
        """End every process of the execution, detached grandchildren included. Idempotent."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@frozen
class Fetched:
    """Which files of a run were fetched.

    Attributes:
        paths: inside the run's folder; each is here whole.
        missing: path and reason for each wanted file that is not here. The path is ``"."`` where the names are not known.
    """

    paths: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
