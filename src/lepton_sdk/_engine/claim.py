"""Keeping a claim for as long as its work lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from lepton_sdk._engine.holder import is_alive
from lepton_sdk._engine.session import Session

__all__ = ["claimed"]

_CLAIM_SECONDS = 60.0
_RENEW_SECONDS = 15.0


@asynccontextmanager
async def claimed(session: Session, name: str, lost: Callable[[int], object]) -> AsyncIterator[int | None]:
    """Hold the claim on ``name``; yields its epoch, or ``None`` while somebody else has it.

    Args:
        lost: called with the epoch when somebody else has taken the claim over, while the work still goes on.
    """
    # The clock may have jumped, so that a claim of our own looks free while its work goes on.
    held = name in session.claims
    epoch = None if held else session.journal.claim(name, session.holder, _CLAIM_SECONDS, is_alive)
    if epoch is None:
        yield None
        return
    session.claims.add(name)
    keeper = asyncio.ensure_future(_keep(session, name, epoch, lost))
    try:
        yield epoch
    finally:
        session.claims.discard(name)
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        session.journal.renew(name, session.holder, epoch, 0)


async def _keep(session: Session, name: str, epoch: int, lost: Callable[[int], object]) -> None:
    while True:
        await session.clock.sleep(_RENEW_SECONDS)
        if not session.journal.renew(name, session.holder, epoch, _CLAIM_SECONDS):
            lost(epoch)
            return
