"""The output of one attempt: read from its machine while that is ours, later from the copy on this host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from lepton_sdk._engine.calls.gate import checked_chunk, checked_fetched
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk._executors.places import place_of
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import GIVEN_BACK, Stage
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import NodeError, UsageError
from lepton_sdk.spi.capabilities import Fetching
from lepton_sdk.spi.executor import Fetched

__all__ = ["fetch", "from_node", "kept_log", "kept_outputs", "named", "output_of", "part_of", "tell_missing"]

_AWAY_SECONDS = 1.0
_CHUNK = 1 << 16
_MOST_NAMED = 20


async def fetch(
    engine: Engine, run: Run, record: NodeRecord, patterns: Sequence[str], target: Path, *, most: int | None = None
) -> Fetched:
    """Fetch files of the run's folder from its node into ``target``.

    Args:
        most: the most bytes to write here.

    Raises:
        UsageError: the node's executor cannot fetch files.
        NodeUnreachable, NodeError: the node did not answer, or cannot pack files.
    """
    assert record.node is not None
    assert record.node.access is not None
    executor = engine.executor(record.node.access)
    if not isinstance(executor, Fetching):
        raise UsageError(
            f"files cannot be brought back from {record.offer.provider}", hint="let the job put them somewhere itself"
        )
    return checked_fetched(await executor.fetch(record.node, execution_of(engine, run, record, {}), patterns, target, most=most))


def tell_missing(engine: Engine, run: Run, missing: Sequence[tuple[str, str]]) -> None:
    """Tell the user which files did not come, and why."""
    for line in named(missing):
        engine.tell(f"run {run.id}: {line}")


def named(missing: Sequence[tuple[str, str]]) -> list[str]:
    """A line for each of the first missing files, and one line with the number of the others."""
    more = [f"{len(missing) - _MOST_NAMED} more files are missing"] if len(missing) > _MOST_NAMED else []
    return [f"{one_line(path)} is missing: {one_line(why)}" for path, why in missing[:_MOST_NAMED]] + more


def part_of(kept: Path) -> Path:
    """The folder of outputs that are not complete yet."""
    return kept.with_name(f"{kept.name}.part")


def kept_outputs(engine: Engine, record: NodeRecord) -> Path:
    """The folder of one node's outputs after its machine was given back."""
    return kept_log(engine, record).with_name("outputs")


def kept_log(engine: Engine, record: NodeRecord) -> Path:
    """The file of one node's log after its machine was given back, as far as it could be fetched."""
    return engine.runs_dir / place_of(record.run, record.attempt, record.rank) / "log"


async def _from_file(path: Path, begin: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while chunk := file.read(_CHUNK):
            yield chunk


async def output_of(engine: Engine, run: Run, record: NodeRecord, begin: int, *, follow: bool) -> AsyncIterator[bytes]:
    """The output of one attempt from byte ``begin``: from the machine, or from the copy here.

    With ``follow``, a silent machine does not end the reading: it is asked again until it is given back.

    Raises:
        NodeError: without ``follow``, the machine did not answer, and there is no copy.
    """
    kept, at = kept_log(engine, record), begin
    access = record.node.access if record.node is not None else None
    is_here = access is not None and engine.is_here(access)
    while is_here or not (_stage(engine, record) is Stage.RELEASED and kept.exists()):
        try:
            async for chunk in from_node(engine, run, record, at, follow=follow):
                at += len(chunk)
                yield chunk
            return
        except NodeError:
            is_given_back = _stage(engine, record) in GIVEN_BACK
            if is_given_back and kept.exists() and not is_here:
                # The log is copied before the machine is given back, as far as it could be fetched.
                break
            if is_given_back and not is_here:
                # Nothing of it could be fetched. The run says so.
                return
            if not follow or is_here:
                raise
        await engine.clock.sleep(_AWAY_SECONDS)
    async for chunk in _from_file(kept, at):
        yield chunk


def _stage(engine: Engine, record: NodeRecord) -> Stage:
    return next(node.stage for node in engine.journal.run(record.run).nodes if node.token == record.token)


async def from_node(engine: Engine, run: Run, record: NodeRecord, begin: int, *, follow: bool) -> AsyncIterator[bytes]:
    """The output of one attempt from byte ``begin``, read from its node."""
    assert record.node is not None
    assert record.node.access is not None
    executor = engine.executor(record.node.access)
    async for chunk in executor.logs(record.node, execution_of(engine, run, record, {}), begin, follow=follow):
        yield checked_chunk(chunk)
