"""The executor contract: a way to run a job on a node, whoever rents it out."""

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
    """Nobody waits."""


def _rented(_: str) -> bool:
    """No provider has hosts of the user's own."""
    return False


@frozen
class ExecutorContext:
    """All that an executor's factory gets from core.

    Attributes:
        runs_dir: where files of runs live on this host; ``runs_dir / run_id`` is the run's own.
        progress: takes a short line on what takes long, such as files that are sent, for whoever waits; ``""`` when it is over.
        own: whether the machines of a provider, by its name, are hosts of the user's own that stay at their address, as far as
            a node's `SSHAccess` does not say so itself.
    """

    clock: Clock = field(repr=False)
    runs_dir: Path
    progress: Callable[[str], None] = field(default=_nobody, repr=False)
    own: Callable[[str], bool] = field(default=_rented, repr=False)


@frozen
class CommandResult:
    """What one command on a node gave.

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
        idle_limit: seconds for which every GPU of the node may be without work before the node itself ends the job; where an
            executor cannot tell, it never does. ``None`` without limit.
        lease: so many seconds after the last `poll` that was answered the node itself stops the execution, which is then lost,
            so that whoever cannot reach the node knows when nothing runs there any more. A `poll` that arrives late puts
            nothing off: it names the node's own time as the last answer told it. ``None`` to run on without a follower, and
            in a `poll` that only looks. An executor whose nodes cannot be out of reach may leave it out.
        watchdog: the folder of the node's watchdog, which is told of the start, and by each `poll` that somebody is there;
            ``""`` where there is none. Never set for a machine that nobody rented for the run.
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
    """The program that powers a rented machine off when nobody gives it back, as an executor meets it.

    Attributes:
        folder: where it lives on the node.
        script: what installs it, for the superuser's POSIX shell; ``""`` where the vendor runs it at boot.
    """

    folder: str
    script: str = field(default="", repr=False)


class ExecutionState(StrEnum):
    """Where an execution stands on the node. ``absent``: it was never started there. ``lost``: it ended without a result."""

    ABSENT = "absent"
    SETUP = "setup"
    RUNNING = "running"
    FINISHED = "finished"
    LOST = "lost"


@frozen
class ExecutionStatus:
    """What the node says of an execution.

    Attributes:
        exit_code: of the job; 128 + signal when a signal ended it; ``None`` until it finished.
        signal: name of the signal that ended it (``"SIGKILL"``).
        reason: ``"exit"``, ``"setup"`` (setup failed), ``"timeout"``, ``"idle"`` or ``"cancelled"``.
        started_at, finished_at: as the node's clock says, UTC.
        failures: exit codes of earlier starts of the command here, each of which the node followed with another one, as
            ``job.max_failure_retry`` allows.
        ready: it runs and can be used, as a server that answers; nothing in core acts on it yet.
        addresses: where it can be used then, ``host:port`` or a URL each.
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
        """Bring the workdir, then start setup and command so that they outlive us.

        Create-exclusive: a second start of the same (run, attempt, epoch) changes nothing.

        Raises:
            JobSpecError: the workdir cannot be sent.
            NodeUnreachable: the node did not answer.
        """
        ...

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        """The state now; never waits."""
        ...

    def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Output from byte ``offset``; with ``follow``, until the execution has ended."""
        ...

    async def cancel(self, node: Node, execution: Execution) -> None:
        """End every process of the execution, grandchildren and strays included. Idempotent."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@frozen
class Fetched:
    """What of a run's files was brought.

    Attributes:
        paths: inside the run's folder; each is here whole.
        missing: a path and why it is not here, for each file that was meant and did not come. The path is ``"."`` where the
            names are not known.
    """

    paths: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
