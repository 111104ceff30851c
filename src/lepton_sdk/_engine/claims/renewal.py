"""Renewing a claim for as long as its work lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from lepton_sdk._engine.claims.holder import in_words, is_alive, is_here
from lepton_sdk._engine.engine import Engine
from lepton_sdk.errors import JournalError

__all__ = ["claimed", "is_claimed", "is_ours", "told_holder"]


@asynccontextmanager
async def claimed(engine: Engine, name: str, lost: Callable[[int], object]) -> AsyncIterator[int | None]:
    """Hold the claim on ``name``; yields its epoch, or ``None`` while somebody else has it.

    Args:
        lost: called with the epoch when somebody else has taken the claim over, while the work still goes on.
    """
    # The clock may have jumped, so that a claim of our own looks free while its work goes on.
    held = name in engine.claims
    epoch = None if held else engine.journal.claim(name, engine.holder, engine.timing.claim, is_alive, here=is_here)
    if epoch is None:
        yield None
        return
    engine.claims[name] = (epoch, lost)
    if engine.renewal is None or engine.renewal.done():
        engine.renewal = asyncio.create_task(_renew(engine))
    try:
        yield epoch
    finally:
        del engine.claims[name]
        await _rest(engine)
        # A journal that is out of reach keeps it until it runs out, and we may take our own again at any time.
        with suppress(JournalError):
            engine.journal.let_go(name, engine.holder, epoch)


def is_claimed(engine: Engine, name: str) -> bool:
    """Whether a follower, be it of this very client, has the claim on ``name``."""
    if name in engine.claims:
        return True
    holder = engine.journal.holder(name)
    if holder is None or holder[0] in {"", engine.holder}:
        return False
    return engine.journal.is_held(name, engine.timing.claim, is_alive, is_here)


def is_ours(engine: Engine, name: str) -> bool:
    """Whether nobody else has the claim on ``name``, by the journal's word."""
    holder = engine.journal.holder(name)
    return holder is None or holder[0] == engine.holder


def told_holder(engine: Engine, name: str) -> str | None:
    """Who else has the claim on ``name``, and until when, in words; ``None`` for nobody."""
    if name in engine.claims or not is_claimed(engine, name):
        return None
    holder, until = engine.journal.holder(name) or ("", None)
    if not holder or until is None:
        return None
    renewed = ", and it lives" if is_here(holder) else ""
    return (
        f"{in_words(holder)}, whose claim lasts until {until:%Y-%m-%d %H:%M:%S} UTC{renewed}; "
        f"it is free once it has not been renewed for {engine.timing.claim:.0f} seconds"
    )


async def _rest(engine: Engine) -> None:
    """Stop renewing once no claim is left."""
    renewal = engine.renewal
    if renewal is not None and not engine.claims:
        engine.renewal = None
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal


async def _renew(engine: Engine) -> None:
    """Renew every claim of this client together: one row group in a quarter of a minute, however many runs it drives."""
    while True:
        await engine.clock.sleep(engine.timing.renewal)
        engine.tell_of_clock()
        try:
            held = engine.journal.renew_all(engine.holder, engine.timing.claim)
        except JournalError as error:
            # The claims run out by themselves, and others take over, if it stays so.
            engine.tell(f"claims could not be renewed: {error.message}")
            continue
        for name, (epoch, lost) in list(engine.claims.items()):
            if held.get(name) != epoch:
                lost(epoch)
