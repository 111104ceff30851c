"""The market as it is now: every usable provider is asked at once, each behind its own wall."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from attrs import frozen

from lepton_sdk._engine.session import Session
from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import ContractViolation, LeptonError, Unavailable
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
    answers = await asyncio.gather(*(_ask(session, name, resources) for name in asked))
    offers: list[Offer] = []
    answered: set[str] = set()
    for name, answer in zip(asked, answers, strict=True):
        if isinstance(answer, LeptonError):
            hint = answer.hint or f"lepton doctor {name}"
            standing[name] = Standing(False, f"could not be asked: {answer.message}", hint)
            session.notices.append(f"{name} could not be asked: {answer.message}; next: {hint}")
        else:
            answered.add(name)
            offers.extend(answer)
    return Market(reference_catalog().merge(offers, answered), standing)


async def _ask(session: Session, name: str, resources: Resources) -> list[Offer] | LeptonError:
    try:
        async with asyncio.timeout(_SECONDS):
            offers = [offer async for offer in session.provider(name).offers(resources)]
        if stranger := next((o for o in offers if not isinstance(o, Offer) or o.provider != name), None):
            raise ContractViolation(f"it offered {stranger!r} in another's name", provider=name)
        return offers
    except TimeoutError:
        return Unavailable(f"no answer within {_SECONDS:.0f} seconds", provider=name)
    except LeptonError as error:
        return error
    except Exception as error:
        # A plugin's own bug must not take the others' offers with it.
        return ContractViolation(f"{type(error).__name__}: {error}", provider=name)
