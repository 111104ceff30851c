"""The output of a run, attempt after attempt, live while it runs. Begin with `read_logs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from inspect import isawaitable
from typing import Any

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.follow import drive, is_driven
from lepton_sdk._engine.followers.journal_away import AWAY, Absence, patient
from lepton_sdk._engine.output.fetch import output_of
from lepton_sdk._engine.tasks import end_all
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import NodeError, UsageError

__all__ = ["read_logs", "with_output"]

_LOOK_SECONDS = 0.02


def read_logs(
    engine: Engine, run_id: str, *, offset: int = 0, follow: bool = False, node: int | None = None
) -> AsyncIterator[bytes]:
    """The run's output, all attempts one after the other; with ``follow``, until the run has ended.

    Args:
        offset: bytes to skip; only for the output of one node.
        node: only the output of this rank, unchanged. Without it, the lines of several nodes come as they are written, each
            with a mark that names its node.

    Raises:
        UsageError: an offset into the output of several nodes, or a node that the run does not have.
    """
    nodes = engine.journal.run(run_id).job.nodes
    if node is not None and not 0 <= node < nodes:
        raise UsageError(f"node: {node}: run {run_id} has the nodes 0 to {nodes - 1}")
    if nodes == 1 or node is not None:
        return _read_node(engine, run_id, node or 0, offset=offset, follow=follow)
    if offset:
        raise UsageError("offset: it counts the bytes of one node, and the run has several", hint="name one, such as node 0")
    width = len(str(nodes - 1))
    streams = (_read_node(engine, run_id, rank, offset=0, follow=follow) for rank in range(nodes))
    return _merged([_marked(f"[{rank:>{width}}] ".encode(), stream) for rank, stream in enumerate(streams)])


async def _marked(mark: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines, each with its mark. If the last line has no line end, it gets one."""
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield b"".join(mark + line + b"\n" for line in lines)
    if rest:
        yield mark + rest + b"\n"


async def _merged(streams: list[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    """The chunks of all streams, each as soon as it comes."""
    waiting = {asyncio.ensure_future(anext(stream, None)): stream for stream in streams}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                stream, chunk = waiting.pop(one), one.result()
                if chunk is not None:
                    yield chunk
                    waiting[asyncio.ensure_future(anext(stream, None))] = stream
    finally:
        await end_all(waiting)


async def _read_node(engine: Engine, run_id: str, rank: int, *, offset: int, follow: bool) -> AsyncIterator[bytes]:
    shown: set[str] = set()
    while True:
        run = await patient(engine, lambda: engine.journal.run(run_id)) if follow else engine.journal.run(run_id)
        started = _started(run, rank)
        for record in started:
            if record.token in shown:
                continue
            shown.add(record.token)
            # Only the newest attempt still grows. The lengths of the earlier ones are needed, so they are read.
            begin = 0 if len(started) > 1 else offset
            seen = begin
            async for chunk in _whole(engine, run, record, begin, follow=follow):
                if chunk[max(0, offset - seen) :]:
                    yield chunk[max(0, offset - seen) :]
                seen += len(chunk)
            offset = max(0, offset - seen)
        if not follow or run.state.ended:
            return
        with suppress(*AWAY):
            if shown and not is_driven(engine, run_id):
                # Its client died: without us the end would never be written, and a reader would wait forever. A run that
                # has not started is left alone: its follower may be on the way, with the secrets.
                await drive(engine, run_id, wait=False)
        await engine.clock.sleep(_LOOK_SECONDS)


async def _whole(engine: Engine, run: Run, record: NodeRecord, begin: int, *, follow: bool) -> AsyncIterator[bytes]:
    """The output of one attempt. If the journal does not answer for a while, reading goes on after that and omits nothing."""
    absence, at = Absence(engine), begin
    while True:
        try:
            async for chunk in output_of(engine, run, record, at, follow=follow):
                at += len(chunk)
                yield chunk
            return
        except AWAY as error:
            if not follow:
                raise
            await absence.wait(error)


def _started(run: Run, rank: int) -> list[NodeRecord]:
    return [record for record in run.nodes if record.rank == rank and record.running_at is not None and record.node is not None]


async def with_output(
    engine: Engine, run_id: str, work: Coroutine[Any, Any, Run], on_output: Callable[[bytes], object] | None
) -> Run:
    """The result of ``work`` on a run. Meanwhile the run's output goes to ``on_output`` as it comes, to its last byte."""
    if on_output is None:
        return await work
    pump = _Pump(engine, run_id, on_output)
    live = asyncio.create_task(pump.go_on(follow=True))
    driven = asyncio.create_task(work)
    try:
        await asyncio.wait({live, driven}, return_when=asyncio.FIRST_COMPLETED)
        if live.done() and (error := live.exception()) is not None and not isinstance(error, NodeError):
            # The receiver of the output does not take it any more.
            raise error
        result = await driven
        if result.job.nodes > 1:
            # Lines of several nodes come in no fixed order, so no offset can name the rest.
            await pump.told(live)
            return result
    finally:
        await end_all([live, driven])
    # The output that came between the last read and the end.
    await pump.told(pump.go_on(follow=False))
    return result


class _Pump:
    """Passes the output of a run on, from where it stopped, whatever happened in between."""

    def __init__(self, engine: Engine, run_id: str, on_output: Callable[[bytes], object]) -> None:
        self._engine, self._run_id, self._on_output = engine, run_id, on_output
        self._passed = 0

    async def go_on(self, *, follow: bool) -> None:
        async for chunk in read_logs(self._engine, self._run_id, offset=self._passed, follow=follow):
            self._passed += len(chunk)
            answer = self._on_output(chunk)
            if isawaitable(answer):
                await answer

    async def told(self, rest: Awaitable[None]) -> None:
        """Pass the rest on. If it cannot be read, tell the user: an end without it must not look complete."""
        try:
            await rest
        except (NodeError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            self._engine.tell(
                f"run {self._run_id}: its output could not be read beyond byte {self._passed}: {error}; "
                f"next: lepton logs --offset {self._passed} {self._run_id}"
            )
