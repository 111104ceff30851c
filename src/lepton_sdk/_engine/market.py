"""The market as it is now: every usable provider is asked at once, each behind its own wall."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from attrs import frozen

from lepton_sdk._engine.calls.bounded import bounded, words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ContractViolation, Disposition, LeptonError, Unavailable
from lepton_sdk.router import Plan, Standing, route

__all__ = ["Market", "look", "plan_for"]

# Observers see so many candidates, so that no hook runs once per offer.
_RESCORED = 200


@frozen
class Market:
    """Offers, and who can be used."""

    catalog: Catalog
    standing: Mapping[str, Standing]


async def look(engine: Engine, resources: Resources, *, live: bool) -> Market:
    """The reference offers, over them what providers say.

    Args:
        live: ask every usable provider; else only those whose offers need no network (capability ``local``).
    """
    standing = engine.standing()
    wanted = set(resources.providers) or set(standing)
    asked = [
        name
        for name, state in sorted(standing.items())
        if state.usable and name in wanted and (live or "local" in engine.spec(name).capabilities)
    ]
    answers = await asyncio.gather(*(_answer(engine, name, resources) for name in asked))
    answered: set[str] = set()
    rows: list[Offer] = []
    engine.passing = {}
    for name, (offers, error) in zip(asked, answers, strict=True):
        rows.extend(offers)
        if error is not None:
            hint = error.hint or f"lepton doctor {name}"
            engine.tell(f"{name}: {error.message}; next: {hint}")
            # What is at hand does not mend itself while somebody waits for it.
            if error.disposition is Disposition.RETRY_SAME and "local" not in engine.spec(name).capabilities:
                engine.passing[name] = error
            if not offers:
                standing[name] = Standing(False, f"could not be asked: {error.message}", hint)
                continue
        answered.add(name)
    return Market(reference_catalog().merge(rows, answered), standing)


async def _answer(engine: Engine, name: str, resources: Resources) -> tuple[list[Offer], LeptonError | None]:
    """What a provider offers now; for many runs of one kind, what it offered to the one before."""
    if not engine.is_busy:
        return await _ask(engine, name, resources)
    seconds = engine.spec(name).timings.poll
    return await engine.markets.get((name, resources), seconds, lambda: _ask(engine, name, resources))


async def _ask(engine: Engine, name: str, resources: Resources) -> tuple[list[Offer], LeptonError | None]:
    """What a provider offers, also when it breaks off in the middle, and the error that it broke off with."""
    offers: list[Offer] = []

    async def list_them() -> None:
        async for offer in engine.provider(name).offers(resources):
            if not isinstance(offer, Offer) or offer.provider != name:
                raise ContractViolation(f"it offered {one_line(repr(offer))}, which is not its own", provider=name)
            offers.append(offer)

    try:
        await bounded(list_them, engine.timing.market, engine.clock)
    except TimeoutError:
        return offers, Unavailable(f"no answer within {engine.timing.market:.0f} seconds", provider=name)
    except LeptonError as error:
        return offers, error
    except Exception as error:
        # A plugin's own bug must not take the others' offers with it.
        return offers, ContractViolation(words_of(error), provider=name)
    return offers, None


async def plan_for(engine: Engine, job: Job, *, live: bool) -> Plan:
    """Route a job over the market as it is now. A machine is only taken at a price that its provider has told."""
    market = await look(engine, job.resources, live=live)
    plan = route(
        job,
        market.catalog,
        standing=market.standing,
        now=engine.clock.now(),
        live_only=live,
        also=_narrower(engine, job),
    )
    return _rescored(engine, job, plan)


def _narrower(engine: Engine, job: Job) -> list[Resources]:
    """What observers want of every offer."""
    observers = engine.registry.observers()
    found: list[Resources] = []
    for keys in observers.hook.filter_offers(job=job) if observers is not None else ():
        try:
            # What a hook does not say about spot stays as the job has it.
            found += [Resources.parse({"spot": "any", **keys})] if keys else []
        except (LeptonError, TypeError) as error:
            engine.tell(f"an observer's filter does not hold and is left out: {error}")
    return found


def _rescored(engine: Engine, job: Job, plan: Plan) -> Plan:
    observers = engine.registry.observers()
    if observers is None:
        return plan
    candidates = [candidate.to_dict() for candidate in plan.foremost(_RESCORED)]
    for scores in observers.hook.rescore(job=job, candidates=candidates):
        try:
            plan = plan.rescored(scores) if scores is not None else plan
        except (LeptonError, TypeError) as error:
            engine.tell(f"an observer's scores do not hold and are left out: {error}")
    return plan
