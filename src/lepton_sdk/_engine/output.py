"""The output of one attempt: on its machine while that is ours, kept on this host before the machine is given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from lepton_sdk._engine.execute import execution_of
from lepton_sdk._engine.session import Session
from lepton_sdk._executors.words import plain
from lepton_sdk.domain.access import LocalAccess
from lepton_sdk.domain.node import Stage
from lepton_sdk.domain.run import NodeRecord, Run
from lepton_sdk.errors import LeptonError, NodeError, UsageError
from lepton_sdk.spi.executor import Fetched, FetchingExecutor

__all__ = ["fetch", "keep_log", "keep_outputs", "kept_outputs", "output_of", "part_of", "tell_missing"]

_KEEP_SECONDS = 300.0
_AWAY_SECONDS = 1.0
_CHUNK = 1 << 16
_MOST_NAMED = 20
_GIVEN_BACK = frozenset({Stage.RELEASING, Stage.RELEASED})


async def keep_log(session: Session, run: Run, record: NodeRecord) -> None:
    """Bring the output of a machine that is about to be given back onto this host, from where an earlier try ended."""
    access = record.node.access if record.node else None
    if access is None or isinstance(access, LocalAccess) or record.running_at is None:
        return
    path = _kept(session, record)
    try:
        async with asyncio.timeout(_KEEP_SECONDS):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("ab") as file:
                async for chunk in _from_node(session, run, record, file.tell(), follow=False):
                    file.write(chunk)
    except (LeptonError, TimeoutError, OSError) as error:
        # The machine costs money: an output that cannot be had does not keep it.
        session.tell(f"run {run.id}: its output on {record.offer.provider} could not be kept: {error}")


async def keep_outputs(session: Session, run: Run, record: NodeRecord) -> None:
    """Bring the files that the job's ``outputs`` name onto this host, before their machine is given back."""
    access = record.node.access if record.node else None
    if not run.job.outputs or access is None or isinstance(access, LocalAccess) or record.running_at is None:
        return
    place = kept_outputs(session, record)
    part = part_of(place)
    try:
        fetched = await fetch(session, run, record, run.job.outputs, part)
        tell_missing(session, run, fetched.missing)
        part.mkdir(parents=True, exist_ok=True)
        part.replace(place)
    except (LeptonError, OSError) as error:
        session.tell(f"run {run.id}: its outputs on {record.offer.provider} could not be brought whole: {error}; see {part}")


async def fetch(
    session: Session, run: Run, record: NodeRecord, patterns: Sequence[str], target: Path, *, most: int | None = None
) -> Fetched:
    """Bring files of the run's folder from its node into ``target``, ``most`` bytes of them.

    Raises:
        UsageError: the way to run on this node cannot bring files back.
        NodeUnreachable, NodeError: the node did not answer, or cannot pack files.
    """
    assert record.node is not None
    assert record.node.access is not None
    executor = session.executor(record.node.access)
    if not isinstance(executor, FetchingExecutor):
        raise UsageError(
            f"files cannot be brought back from {record.offer.provider}", hint="let the job put them somewhere itself"
        )
    return await executor.fetch(record.node, execution_of(session, run, record, {}), patterns, target, most=most)


def tell_missing(session: Session, run: Run, missing: Sequence[tuple[str, str]]) -> None:
    """Say which files did not come, and why."""
    for path, why in missing[:_MOST_NAMED]:
        session.tell(f"run {run.id}: {plain(path)} is missing: {why}")
    if len(missing) > _MOST_NAMED:
        session.tell(f"run {run.id}: {len(missing) - _MOST_NAMED} more files are missing")


def kept_outputs(session: Session, record: NodeRecord) -> Path:
    """Where the outputs of one node lie once its machine was given back."""
    return _kept(session, record).with_name("outputs")


def part_of(kept: Path) -> Path:
    """Where they lie as long as they are not whole."""
    return kept.with_name(f"{kept.name}.part")


def _kept(session: Session, record: NodeRecord) -> Path:
    return session.runs_dir / record.run / f"{record.attempt}-{record.rank}" / "log"


async def _from_file(path: Path, begin: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while chunk := file.read(_CHUNK):
            yield chunk


async def output_of(session: Session, run: Run, record: NodeRecord, begin: int, *, follow: bool) -> AsyncIterator[bytes]:
    """The output of one attempt from byte ``begin``: from the machine, or from what was kept of it.

    With ``follow``, a machine that does not answer is waited for until it is given back: its silence ends no reader.

    Raises:
        NodeError: without ``follow``, it did not answer, and nothing was kept of it.
    """
    kept, at = _kept(session, record), begin
    is_here = record.node is not None and isinstance(record.node.access, LocalAccess)
    while is_here or not (_stage(session, record) is Stage.RELEASED and kept.exists()):
        try:
            async for chunk in _from_node(session, run, record, at, follow=follow):
                at += len(chunk)
                yield chunk
            return
        except NodeError:
            is_given_back = _stage(session, record) in _GIVEN_BACK
            if is_given_back and kept.exists() and not is_here:
                # It is kept before the machine is given back, as far as it could be had.
                break
            if not follow or is_here:
                raise
            if is_given_back:
                return
        await session.clock.sleep(_AWAY_SECONDS)
    async for chunk in _from_file(kept, at):
        yield chunk


def _stage(session: Session, record: NodeRecord) -> Stage:
    return next(node.stage for node in session.journal.run(record.run).nodes if node.token == record.token)


async def _from_node(session: Session, run: Run, record: NodeRecord, begin: int, *, follow: bool) -> AsyncIterator[bytes]:
    assert record.node is not None
    assert record.node.access is not None
    executor = session.executor(record.node.access)
    async for chunk in executor.logs(record.node, execution_of(session, run, record, {}), begin, follow=follow):
        yield chunk
