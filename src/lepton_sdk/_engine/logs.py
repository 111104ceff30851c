"""The output of a run, attempt after attempt, live while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lepton_sdk._engine.follower import drive
from lepton_sdk._engine.holder import is_alive
from lepton_sdk._engine.output import output_of
from lepton_sdk._engine.session import Session
from lepton_sdk.domain.run import NodeRecord, Run

__all__ = ["read_logs"]

_LOOK_SECONDS = 0.02


async def read_logs(session: Session, run_id: str, *, offset: int = 0, follow: bool = False) -> AsyncIterator[bytes]:
    """Bytes of the run's output from ``offset`` of all attempts in a row; with ``follow``, until the run has ended."""
    shown: set[str] = set()
    while True:
        run = session.journal.run(run_id)
        for record in _started(run):
            if record.token in shown:
                continue
            shown.add(record.token)
            # Only the newest attempt still grows; of the earlier ones the length must be known, so they are read.
            begin = 0 if len(_started(run)) > 1 else offset
            seen = begin
            async for chunk in output_of(session, run, record, begin, follow=follow):
                if chunk[max(0, offset - seen) :]:
                    yield chunk[max(0, offset - seen) :]
                seen += len(chunk)
            offset = max(0, offset - seen)
        if not follow or run.state.ended:
            return
        if shown and not _driven(session, run_id):
            # Its client died: without us the end would never be written, and a reader would wait for it for ever. A run
            # that has not started is left alone: its follower may be on the way, with the secrets.
            await drive(session, run_id, wait=False)
        await session.clock.sleep(_LOOK_SECONDS)


def _driven(session: Session, run_id: str) -> bool:
    """Whether a follower, be it of this very client, holds the run."""
    claim = session.journal.holder(run_id)
    return claim is not None and claim[1] > session.clock.now() and is_alive(claim[0])


def _started(run: Run) -> list[NodeRecord]:
    return [record for record in run.nodes if record.running_at is not None and record.node is not None]
