"""Claim a run and renew the claim for as long as the work on it lasts. Begin with `claimed`."""

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
    """Claim ``name`` for the time of the context; yields the claim's epoch, or ``None`` if somebody else has it.

    Args:
        lost: called with the epoch if somebody else takes the claim over while the work still goes on.
    """
    # If the clock has jumped, a claim of our own looks free although its work goes on.
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
        # If the journal cannot be reached, the claim stays until it runs out. We may take our own claim again at any time.
        with suppress(JournalError):
            engine.journal.let_go(name, engine.holder, epoch)


def is_claimed(engine: Engine, name: str) -> bool:
    """Return True if a follower has the claim on ``name``, also one of this client."""
    if name in engine.claims:
        return True
    holder = engine.journal.holder(name)
    if holder is None or holder[0] in {"", engine.holder}:
        return False
    return engine.journal.is_held(name, engine.timing.claim, is_alive, is_here)


def is_ours(engine: Engine, name: str) -> bool:
    """Return True if the journal says that nobody else has the claim on ``name``."""
    holder = engine.journal.holder(name)
    return holder is None or holder[0] == engine.holder


def told_holder(engine: Engine, name: str) -> str | None:
    """A text that says who else has the claim on ``name``, and until when; ``None`` if nobody has."""
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
    """Renew all claims of this client together: one transaction each time, however many runs it drives."""
    while True:
        await engine.clock.sleep(engine.timing.renewal)
        engine.tell_of_clock()
        try:
            held = engine.journal.renew_all(engine.holder, engine.timing.claim)
        except JournalError as error:
            # If this goes on, the claims run out by themselves and others take over.
            engine.tell(f"claims could not be renewed: {error.message}")
            continue
        for name, (epoch, lost) in list(engine.claims.items()):
            if held.get(name) != epoch:
                lost(epoch)
