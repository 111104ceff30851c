"""Bring a run's files here: from its machines while they are ours, else from the copies that were kept. Begin with `pull`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.output.fetch import fetch, kept_outputs, part_of, tell_missing
from lepton_sdk._executors.workdir.outputs import copied
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import GIVEN_BACK
from lepton_sdk.errors import LeptonError, NodeError, UsageError

__all__ = ["pull"]


async def pull(engine: Engine, run_id: str, target: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Bring files of the newest started attempt into ``target``; with several nodes, each into a folder named by its rank.

    Args:
        patterns: which files, written as in the job's ``outputs``; empty for the job's ``outputs``.

    Raises:
        UsageError: there is nothing to bring.
        NodeUnreachable, NodeError: a node did not answer, or cannot pack files.
    """
    run = engine.journal.run(run_id)
    wanted = tuple(patterns) or run.job.outputs
    if not wanted:
        raise UsageError(f"run {run.id} names no outputs", hint="say which files: lepton pull RUN 'results/' '*.pt'")
    started = [record for record in run.nodes if record.running_at is not None and record.node is not None]
    newest = [record for record in started if record.attempt == started[-1].attempt]
    if not newest:
        raise UsageError(f"run {run.id} has not started, so there is nothing to bring", hint="look with lepton ps")
    if run.job.nodes == 1:
        return await _of_node(engine, run, newest[0], wanted, target)
    found: list[str] = []
    errors: list[LeptonError] = []
    for record in newest:
        # If one node has nothing to give, still bring what the others have.
        try:
            brought = await _of_node(engine, run, record, wanted, target / str(record.rank))
        except (UsageError, NodeError) as error:
            errors.append(error)
            engine.tell(f"run {run.id}: nothing could be brought of node {record.rank}: {error.message}")
        else:
            found += [f"{record.rank}/{path}" for path in brought]
    if len(errors) == len(newest):
        raise errors[0]
    return tuple(found)


async def _of_node(engine: Engine, run: Run, record: NodeRecord, wanted: Sequence[str], target: Path) -> tuple[str, ...]:
    assert record.node is not None
    access = record.node.access
    if record.stage not in GIVEN_BACK or (access is not None and engine.is_here(access)):
        fetched = await fetch(engine, run, record, wanted, target)
    else:
        fetched = await copied(_kept(engine, run, record), wanted, target)
    tell_missing(engine, run, fetched.missing)
    return fetched.paths


def _kept(engine: Engine, run: Run, record: NodeRecord) -> Path:
    """The folder with what was kept of a machine that was given back, complete or in part."""
    kept = kept_outputs(engine, record)
    if kept.is_dir():
        return kept
    part = part_of(kept)
    if part.is_dir():
        engine.tell(
            f"run {run.id}: its outputs could not be kept whole before the machine was given back; "
            f"what came is brought, from {part}"
        )
        return part
    if run.job.outputs:
        raise UsageError(
            f"the machine of run {run.id} was given back, and its outputs ({', '.join(run.job.outputs)}) could not be kept",
            hint="lepton logs shows what the run said of it; run it again, or let the job put them somewhere itself",
        )
    raise UsageError(
        f"the machine of run {run.id} was given back, and nothing of it was kept",
        hint="name what shall be kept under outputs before the run",
    )
