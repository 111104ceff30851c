"""Taking a machine: intent row, one create call, confirmation. What a lost answer left behind is found, not made again."""

from __future__ import annotations

from datetime import datetime, timedelta

from lepton_sdk._engine.failover import scopes
from lepton_sdk._engine.session import Session
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import BlockScope, ContractViolation, Disposition, LeptonError
from lepton_sdk.spi.provider import Launch

__all__ = ["acquire", "confirm", "resolve"]


async def acquire(session: Session, run: Run, offer: Offer, epoch: int) -> Run:
    """Take one node of ``offer`` for the run's next attempt.

    Raises:
        BudgetExceeded: the cap over all machines would be passed; nothing was asked of the provider.

    Returns:
        The run with a node that is owned, of unknown outcome, or released (the provider refused).
    """
    token, attempt = session.new_id(), run.attempts + 1
    provider = session.provider(offer.provider)
    intent = {
        "attempt": attempt,
        "rank": 0,
        "epoch": epoch,
        "offer": offer.to_dict(),
        "increment": session.spec(offer.provider).timings.billing_increment,
    }
    row = Event("node.intended", run.id, session.clock.now(), token, intent)
    run = session.journal.append(row, hourly_cap=session.config.hourly_cap)
    try:
        node = await provider.acquire(offer, _launch(session, run, token, attempt))
    except LeptonError as error:
        return _failed(session, run, token, offer, error)
    except Exception as error:
        # Nobody knows what a bug in a plugin has left behind.
        text = f"{type(error).__name__}: {error}"
        return session.journal.append(_event(session, run, "node.unknown", token, detail=text))
    try:
        return confirm(session, run, token, node)
    except ContractViolation:
        # We were away for so long that another follower has closed the row: this machine is a duplicate.
        await provider.release(node)
        raise


def confirm(session: Session, run: Run, token: str, node: Node) -> Run:
    """Write that the node is ours, and in the same breath that it can be reached when the provider says so."""
    if node.token != token or not node.id:
        broken = ContractViolation(f"the node {node.id!r} does not carry our token", provider=node.provider)
        return session.journal.append(_event(session, run, "node.unknown", token, detail=broken.message))
    record = node.to_dict()
    events = [_event(session, run, "node.owned", token, node=record)]
    if node.state is NodeState.READY and node.access is not None:
        events.append(_event(session, run, "node.reachable", token, node=record))
    return session.journal.append(*events)


async def resolve(session: Session, run: Run, record: NodeRecord) -> Run:
    """Find out what became of a create call whose answer we do not have.

    Returns:
        The run with the node adopted, or released when nothing can appear any more, or as it was.
    """
    provider, timings = session.provider(record.offer.provider), session.spec(record.offer.provider).timings
    found = [node for owner in session.journal.owners async for node in provider.find(owner, record.token)]
    alive = sorted((n for n in found if n.kind == "machine" and n.state is not NodeState.GONE), key=lambda n: n.id)
    if alive:
        for surplus in alive[1:]:
            await provider.release(surplus)
        return confirm(session, run, record.token, alive[0])
    horizon = record.intended_at + timedelta(seconds=timings.create_horizon + timings.listing_lag)
    if session.clock.now() < horizon:
        return run
    # What was made for a machine that never came (a disk, a network) costs as well.
    rests = [await provider.release(node) for node in found if node.state is not NodeState.GONE]
    if any(rest.state is not NodeState.GONE for rest in rests):
        return run
    detail = f"nothing of it appeared within {timings.create_horizon:.0f} seconds"
    return session.journal.append(_event(session, run, "node.released", record.token, detail=detail))


def _failed(session: Session, run: Run, token: str, offer: Offer, error: LeptonError) -> Run:
    if error.disposition is Disposition.RECONCILE:
        return session.journal.append(_event(session, run, "node.unknown", token, detail=error.message))
    attempt = {
        "number": run.attempts,
        "provider": offer.provider,
        "instance_type": offer.instance_type,
        "error": type(error).__name__,
        "message": session.redacted(error.message),
        # An error that blocks nothing by itself still must not be met again at once.
        "blocked": scopes(offer).get(error.scope, scopes(offer)[BlockScope.OFFER]),
        "next": "next offer" if error.disposition is not Disposition.GIVE_UP else error.hint or "",
    }
    return session.journal.append(
        Event("attempt.failed", run.id, session.clock.now(), token, attempt),
        _event(session, run, "node.released", token, detail=error.message),
    )


def _event(session: Session, run: Run, kind: str, token: str, **data: object) -> Event:
    return Event(kind, run.id, session.clock.now(), token, data)


def _launch(session: Session, run: Run, token: str, attempt: int) -> Launch:
    async def announce(kind: str, name: str) -> None:
        session.journal.append(
            Event("node.announced", run.id, session.clock.now(), token, {"kind": kind, "name": name}),
        )

    limit = run.job.limits.duration
    deadline: datetime | None = session.clock.now() + timedelta(seconds=limit) if limit else None
    return Launch(
        owner=session.journal.owner,
        token=token,
        run_id=run.id,
        job_name=run.job.name,
        attempt=attempt,
        rank=0,
        resources=run.job.resources,
        deadline=deadline,
        announce=announce,
    )
