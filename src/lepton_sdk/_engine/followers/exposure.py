"""What may go on costing money if no follower drives a run. The user sees it before leaving and must accept it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from attrs import frozen

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.watchdog import kept_seconds
from lepton_sdk._engine.market import plan_for
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import ExposureNotAccepted
from lepton_sdk.router import Plan
from lepton_sdk.spi.spec import PowerOff, ProviderSpec, WatchdogWay

__all__ = ["Exposure", "after_the_job", "exposures", "exposures_of", "refuse_exposure", "unfollowed"]

_WORDS = {
    PowerOff.KEEPS: "powering a machine off does not end its bill there",
    PowerOff.RESTARTS: "a machine that is powered off is started again there",
    PowerOff.UNKNOWN: "it is not known whether powering a machine off ends its bill there",
}


@frozen
class Exposure:
    """A provider whose machines go on without a follower: nothing else ends their bill.

    Attributes:
        hourly: the highest price of all nodes together for one hour; ``None`` if it is not known.
    """

    provider: str
    hourly: Money | None
    reason: str

    def __str__(self) -> str:
        price = "at a price that is not known" if self.hourly is None else f"{self.hourly.display()} an hour"
        return f"{self.provider}: {price} until the next follower, or you, give the machine back: {self.reason}"


def exposures(engine: Engine, offers: Iterable[Offer], nodes: int) -> tuple[Exposure, ...]:
    """What a run on these offers may go on costing without a follower, one exposure for each provider."""
    dearest: dict[str, Money | None] = {}
    for offer in offers:
        if offer.price is not None and not offer.price:
            continue
        hourly = None if offer.price is None else offer.price * nodes
        before = dearest.get(offer.provider, hourly)
        dearest[offer.provider] = None if before is None or hourly is None else max(before, hourly)
    lines = ((name, hourly, _reason(engine.spec(name))) for name, hourly in sorted(dearest.items()))
    return tuple(Exposure(name, hourly, reason) for name, hourly, reason in lines if reason)


def _reason(spec: ProviderSpec) -> str:
    """Why nothing ends its machines; ``""`` if a watchdog does, or on this host, which nobody rents."""
    if "local" in spec.capabilities:
        return ""
    if spec.power_off is not PowerOff.ENDS:
        return _WORDS[spec.power_off]
    return "its machines get no watchdog" if spec.watchdog is WatchdogWay.NONE else ""


def refuse_exposure(found: tuple[Exposure, ...]) -> None:
    """Raise an error if there is any exposure.

    Raises:
        ExposureNotAccepted: with each provider, its price and the reason.
    """
    if found:
        raise ExposureNotAccepted(
            "without a follower these machines are billed on after the job: " + "; ".join(map(str, found)),
            hint="accept it (--accept-exposure, accept_exposure=True), stay with the run, or keep to other providers",
        )


async def exposures_of(engine: Engine, run: Run) -> tuple[Exposure, ...]:
    """What an open run may go on costing without a follower: on its machines, or, if it has none, on those that it may take."""
    offers = [node.offer for node in run.nodes if node.open]
    if not offers:
        # The follower would take a machine, and nobody has accepted what that one costs without a follower.
        offers = [one.offer for one in await plan_for(engine, run.job, live=False)]
    return exposures(engine, offers, run.job.nodes)


def unfollowed(engine: Engine, run_id: str) -> list[str]:
    """The limits that act on the node itself if nobody follows the run, one line each."""
    run = engine.journal.run(run_id)
    specs = [engine.spec(node.offer.provider) for node in run.nodes if node.open]
    watched = bool(specs) and all(spec.watched for spec in specs)
    limits = run.job.limits
    lines = [f"the node ends the job after {text}" for text in _ends(limits.duration, limits.total)]
    if not lines:
        lines.append("no limit ends the job by itself; set one with --duration or --total")
    if (silence := run.job.retry.interruption.unreachable) is not None:
        lines.append(
            f"the node ends the job when nobody has reached it for {show_duration(silence)}, also because nobody follows"
        )
    if watched:
        lines.append("its watchdog powers the machine off when the job has ended and nobody came for its output")
    return lines


def after_the_job(engine: Engine, plan: Plan) -> tuple[str, ...]:
    """What the best offer's machine goes on costing after its job, in lines; empty for a machine that costs nothing."""
    if plan.best is None or not plan.best.hourly:
        return ()
    offer, limits = plan.best.offer, plan.job.limits
    spec = engine.spec(offer.provider)
    lines = [f"after the job: {engine.config.keeping} are fetched before the machine goes back ([outputs] in the settings)"]
    if reason := _reason(spec):
        return (*lines, f"without a client: {plan.best.hourly.display()} an hour until the next one comes: {reason}")
    kept = kept_seconds(limits)
    cost = (plan.best.hourly * (Decimal(kept) / 3600)).rounded(4)
    waits = f"waits {show_duration(kept)} for somebody to fetch its output ({cost.display()} at most)"
    return (*lines, f"without a client: the machine {waits}, then powers itself off")


def _ends(duration: int | None, total: Money | None) -> list[str]:
    bounds = [show_duration(duration)] if duration else []
    return bounds + ([f"{total.display()} of machine time"] if total is not None else [])
