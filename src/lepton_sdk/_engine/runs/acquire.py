"""Take the machines of one attempt. Begin with `acquire`.

It first checks that the provider's account and listing agree with the journal. Then it writes one intent for each machine, all
in one transaction, and only then it makes the create calls. So a crash never leaves a machine that the journal does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.leftovers import admit
from lepton_sdk._engine.launch.budget import budget_seconds, longest_bill
from lepton_sdk._engine.launch.watchdog import boot_seconds, kept_seconds
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.polling import Throttle
from lepton_sdk._engine.runs.attempts import PEER, refusal
from lepton_sdk._engine.runs.create import create, create_group, not_made
from lepton_sdk._engine.tasks import gather_all
from lepton_sdk.domain.events import NodeIntended
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import ProviderError, UsageError

__all__ = ["acquire"]


async def acquire(engine: Engine, run: Run, offer: Offer, epoch: int, secrets: Mapping[str, str], throttle: Throttle) -> Run:
    """Take the nodes of the run's next attempt, all of one offer.

    One transaction holds the entries of all nodes, so the caps accept or refuse the attempt as a whole. After the first refusal
    no further create call is made, and the next steps give back the machines that the attempt already has.

    Raises:
        BudgetExceeded: the attempt would pass the cap over all machines; nothing was asked of the provider.

    Returns:
        The run; each new node is owned, of unknown outcome, or released (the provider refused).
    """
    try:
        await admit(engine, offer.provider)
    except (ProviderError, UsageError) as error:
        # Nothing was asked for yet.
        return await engine.write(run.id, refusal(run, offer, error, engine.redacted))
    run, tokens = await _intend(engine, run, offer, epoch)
    members = [Member(engine, run, record, throttle) for record in run.members if record.token in tokens]
    if len(members) == 1:
        return await create(members[0], secrets)
    if "multi_node" in engine.spec(offer.provider).capabilities:
        return await create_group(members, secrets)
    gate = asyncio.Semaphore(engine.timing.creates_at_once)
    await gather_all(*(_unless_refused(member, secrets, gate) for member in members))
    return engine.journal.run(run.id)


async def _intend(engine: Engine, run: Run, offer: Offer, epoch: int) -> tuple[Run, set[str]]:
    """Write the intent: the create calls for these machines are about to be made."""
    spec = engine.spec(offer.provider)
    after = max(engine.timing.keeping.time, kept_seconds(run.job.limits) if spec.watched else 0.0)
    lasts = longest_bill(run, offer, boot_seconds(engine, offer), after=after, watched=spec.watched)
    group, owner, attempt = engine.new_id(), engine.journal.owner, run.attempts + 1
    rows = [
        NodeIntended(
            attempt,
            rank,
            epoch,
            offer,
            spec.timings.billing_increment,
            lasts,
            owner=owner,
            group=group,
            budget=budget_seconds(run, offer, earlier_than=attempt),
        ).about(engine.new_id())
        for rank in range(run.job.nodes)
    ]
    run = await engine.write(run.id, *rows, caps=engine.config.caps)
    return run, {row.token or "" for row in rows}


async def _unless_refused(member: Member, secrets: Mapping[str, str], gate: asyncio.Semaphore) -> Run:
    async with gate:
        member = member.again()
        if not member.run.stop_requested and not any(one.failed for one in member.run.members):
            return await create(member, secrets)
        return await member.write(not_made("not asked for: the attempt had failed by then", reason=PEER))
