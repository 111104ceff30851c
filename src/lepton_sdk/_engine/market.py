"""The market as it is now: every usable provider is asked at once, each behind its own wall."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from attrs import frozen

from lepton_sdk._engine.bounded import bounded, words_of
from lepton_sdk._engine.session import Session
from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ContractViolation, Disposition, LeptonError, Unavailable
from lepton_sdk.router import Standing

__all__ = ["Market", "look"]

# A provider that has not listed its offers by then costs only its own rows.
_SECONDS = 20.0


@frozen
class Market:
    """Offers, and who can be used."""

    catalog: Catalog
    standing: Mapping[str, Standing]


async def look(session: Session, resources: Resources, *, live: bool) -> Market:
    """The reference offers, over them what providers say.

    Args:
        live: ask every usable provider; else only those whose offers need no network (capability ``local``).
    """
    standing = session.standing()
    wanted = set(resources.providers) or set(standing)
    asked = [
        name
        for name, state in sorted(standing.items())
        if state.usable and name in wanted and (live or "local" in session.spec(name).capabilities)
    ]
    answers = await asyncio.gather(*(_answer(session, name, resources) for name in asked))
    answered: set[str] = set()
    rows: list[Offer] = []
    session.passing = {}
    for name, (offers, error) in zip(asked, answers, strict=True):
        rows.extend(offers)
        if error is not None:
            hint = error.hint or f"lepton doctor {name}"
            session.tell(f"{name}: {error.message}; next: {hint}")
            # What is at hand does not mend itself while somebody waits for it.
            if error.disposition is Disposition.RETRY_SAME and "local" not in session.spec(name).capabilities:
                session.passing[name] = error
            if not offers:
                standing[name] = Standing(False, f"could not be asked: {error.message}", hint)
                continue
        answered.add(name)
    return Market(reference_catalog().merge(rows, answered), standing)


async def _answer(session: Session, name: str, resources: Resources) -> tuple[list[Offer], LeptonError | None]:
    """What a provider offers now; for many runs of one kind, what it offered to the one before."""
    if not session.is_busy:
        return await _ask(session, name, resources)
    seconds = session.spec(name).timings.poll
    return await session.markets.get((name, resources), seconds, lambda: _ask(session, name, resources))


async def _ask(session: Session, name: str, resources: Resources) -> tuple[list[Offer], LeptonError | None]:
    """What a provider offers, also when it breaks off in the middle, and the error that it broke off with."""
    offers: list[Offer] = []

    async def list_them() -> None:
        async for offer in session.provider(name).offers(resources):
            if not isinstance(offer, Offer) or offer.provider != name:
                raise ContractViolation(f"it offered {one_line(repr(offer))}, which is not its own", provider=name)
            offers.append(offer)

    try:
        await bounded(list_them, _SECONDS, session.clock)
    except TimeoutError:
        return offers, Unavailable(f"no answer within {_SECONDS:.0f} seconds", provider=name)
    except LeptonError as error:
        return offers, error
    except Exception as error:
        # A plugin's own bug must not take the others' offers with it.
        return offers, ContractViolation(words_of(error), provider=name)
    return offers, None
