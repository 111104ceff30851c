"""Ask the market: all usable providers at the same time. One that fails or is slow does not affect the others.

Begin with `plan_for`, which routes a job over the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

from lepton_sdk._engine.calls.bounded import bounded, words_of
from lepton_sdk._engine.calls.gate import Faults, checked_keys, checked_offer, checked_scores, each
from lepton_sdk._engine.engine import Engine
from lepton_sdk.catalog import Catalog, reference_catalog
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import ContractViolation, Disposition, LeptonError, Unavailable
from lepton_sdk.router import Plan, Standing, route

__all__ = ["Market", "ask_market", "plan_for"]

# No vendor has this many offers. A listing without end would fill the memory before its time is over.
_MOST = 1_000_000
# Observers see this many candidates, so that no hook runs once per offer.
_RESCORED = 200


@frozen
class Market:
    """The offers, and which providers can be used."""

    catalog: Catalog
    standing: Mapping[str, Standing]


async def ask_market(engine: Engine, resources: Resources, *, live: bool) -> Market:
    """The reference offers, updated with the answers of providers.

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
            # A local provider does not repair itself while somebody waits for it.
            if error.disposition is Disposition.RETRY_SAME and "local" not in engine.spec(name).capabilities:
                engine.passing[name] = error
            if not offers:
                standing[name] = Standing(False, f"could not be asked: {error.message}", hint)
                continue
        answered.add(name)
    return Market(reference_catalog().merge(rows, answered), standing)


async def _answer(engine: Engine, name: str, resources: Resources) -> tuple[list[Offer], LeptonError | None]:
    """What a provider offers now. If many runs are driven here, they share recent answers."""
    if not engine.is_busy:
        return await _ask(engine, name, resources)
    seconds = engine.spec(name).timings.poll
    return await engine.markets.get((name, resources), seconds, lambda: _ask(engine, name, resources))


async def _ask(engine: Engine, name: str, resources: Resources) -> tuple[list[Offer], LeptonError | None]:
    """What a provider offers, and the error if the listing broke off: the offers before the error still count."""
    offers: list[Offer] = []
    faults = Faults(name)

    async def list_them() -> None:
        async for answer in each(engine.provider(name).offers(resources), "offers", name):
            try:
                offers.append(checked_offer(answer, name))
            except ContractViolation as fault:
                faults.note(fault)
            if len(offers) + faults.count > _MOST:
                raise ContractViolation(f"it offers more than {_MOST} things", provider=name)

    error = await _broken_off(engine, name, list_them)
    if (wrong := faults.summed("offer")) is not None and error is not None:
        engine.tell(f"{name}: {wrong.message}; next: {wrong.hint}")
    return offers, error or wrong


async def _broken_off(engine: Engine, name: str, list_them: Callable[[], Awaitable[None]]) -> LeptonError | None:
    """The error that ended a listing early; ``None`` if it came to its end."""
    try:
        await bounded(list_them, engine.timing.market, engine.clock)
    except TimeoutError:
        return Unavailable(f"no answer within {engine.timing.market:.0f} seconds", provider=name)
    except LeptonError as error:
        return error
    except Exception as error:
        # A bug of one plugin must not cost the offers of the others.
        return ContractViolation(words_of(error), provider=name)
    return None


async def plan_for(engine: Engine, job: Job, *, live: bool) -> Plan:
    """Route a job over the market as it is now. A machine is only taken at a price that its provider itself has given."""
    market = await ask_market(engine, job.resources, live=live)
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
    """What observers require of every offer."""
    observers = engine.registry.observers()
    found: list[Resources] = []
    for answer in observers.hook.filter_offers(job=job) if observers is not None else ():
        try:
            # If a hook does not say anything about spot, the job's own value stays.
            found += [Resources.parse({"spot": "any", **keys})] if (keys := checked_keys(answer)) else []
        except Exception as error:
            engine.tell(f"an observer's filter does not hold and is left out: {words_of(error)}")
    return found


def _rescored(engine: Engine, job: Job, plan: Plan) -> Plan:
    observers = engine.registry.observers()
    if observers is None:
        return plan
    candidates = [candidate.to_dict() for candidate in plan.foremost(_RESCORED)]
    for answer in observers.hook.rescore(job=job, candidates=candidates):
        try:
            plan = plan if (scores := checked_scores(answer)) is None else plan.rescored(scores)
        except LeptonError as error:
            engine.tell(f"an observer's scores do not hold and are left out: {error.message}")
    return plan
