"""Make the `Execution`: what an executor is told about one start of a job on one node."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.budget import time_limit
from lepton_sdk._engine.launch.environment import describe
from lepton_sdk._engine.launch.launchers import launched
from lepton_sdk._engine.launch.watchdog import folder_of
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.spi.executor import Execution

__all__ = ["execution_of"]


def execution_of(
    engine: Engine, run: Run, record: NodeRecord, secrets: Mapping[str, str], *, epoch: int | None = None
) -> Execution:
    """The execution for one start. Every call for the same start gives the same, in every client.

    Args:
        epoch: ``None`` for the epoch of the client that drives the run now. With it a node can tell the orders of this client
            from those of a client that has lost its claim.
    """
    if epoch is None:
        epoch, _ = engine.claims.get(run.id, (record.epoch, None))
    return Execution(
        run_id=run.id,
        attempt=record.attempt,
        epoch=epoch,
        rank=record.rank,
        job=launched(run.job),
        environment=describe(run, record),
        secrets=secrets,
        time_limit=time_limit(run, record),
        idle_limit=run.job.limits.idle,
        lease=run.job.retry.interruption.unreachable,
        watchdog=folder_of(record),
    )
