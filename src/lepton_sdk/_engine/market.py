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

__all__ = ["Fault", "Market", "look"]

# A provider that has not listed its offers by then costs only its own rows.
_SECONDS = 20.0


@frozen
class Fault:
    """A provider that could not be asked."""

    provider: str
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        """The fault as JSON keys."""
        return {"provider": self.provider, "message": self.message, "next": self.hint}


@frozen
class Market:
    """Offers, who can be used, and who could not be asked."""

    catalog: Catalog
    standing: Mapping[str, Standing]
    faults: tuple[Fault, ...] = ()


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
    faults: list[Fault] = []
    for name, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Fault):
            faults.append(answer)
            standing[name] = Standing(False, f"could not be asked: {answer.message}", answer.hint)
        else:
            offers.extend(answer)
    answered = set(asked) - {fault.provider for fault in faults}
    catalog = reference_catalog().merge(offers, answered)
    return Market(catalog, standing, tuple(faults))


async def _ask(session: Session, name: str, resources: Resources) -> list[Offer] | Fault:
    try:
        async with asyncio.timeout(_SECONDS):
            offers = [offer async for offer in session.provider(name).offers(resources)]
        if stranger := next((o for o in offers if not isinstance(o, Offer) or o.provider != name), None):
            raise ContractViolation(f"it offered {stranger!r} in another's name", provider=name)
        return offers
    except TimeoutError:
        error: LeptonError = Unavailable(f"no answer within {_SECONDS:.0f} seconds", provider=name)
    except LeptonError as failure:
        error = failure
    except Exception as failure:
        # A plugin's own bug must not take the others' offers with it.
        error = ContractViolation(f"{type(failure).__name__}: {failure}", provider=name)
    return Fault(name, error.message, error.hint or f"lepton doctor {name}")
