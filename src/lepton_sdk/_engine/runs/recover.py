"""Find out what became of a create call whose answer was lost. Begin with `resolve`.

It searches the provider's listing for our token. If it finds a machine, the run adopts it. If the vendor keeps our token as
an idempotency key, the same call is made again. If nothing shows up when it should be listed, the run goes on to another
offer. Once nothing can appear any more, the entry is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.inventory.duplicates import give_back_duplicate
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.launch.budget import is_spent
from lepton_sdk._engine.launch.watchdog import unseen_seconds
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.providers import found_of, released
from lepton_sdk._engine.runs.attempts import is_explained, refusal
from lepton_sdk._engine.runs.create import confirm, repeat
from lepton_sdk._engine.tasks import gather_all
from lepton_sdk.domain.events import NodeReleased, NodeUnresolved
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import OutcomeUnknown, ProviderError

__all__ = ["resolve"]


async def resolve(member: Member, secrets: Mapping[str, str]) -> Run:
    """Find out what became of a create call whose answer we do not have.

    Returns:
        The run. Its node is adopted; or released if nothing can appear any more; or unresolved if it should be listed by now and
        another offer may be taken; or unchanged.
    """
    engine, run, record, timings = member.engine, member.run, member.record, member.spec.timings
    if (creating := engine.creating.get(record.token)) is not None:
        # The call is still under way in this client. Its answer tells more than any listing.
        return await asyncio.shield(creating)
    asked_at = engine.clock.now()
    age = (asked_at - record.called_at).total_seconds()
    try:
        listed = await _found(member)
    except ProviderError:
        if age < timings.listing_lag + engine.timing.unasked or record.token not in engine.called or member.spec.starts_alone:
            # If this journal is an older copy, a machine that another client has asked for may run already.
            raise
        # Nobody can say what became of it. That must not delay a stop, or the next offer.
        return await _unresolved(member)
    if not _machines(listed) and age >= timings.listing_lag + timings.create_horizon:
        # If nothing is found, the entry is closed for good. A listing may be cut short, so list once more.
        await engine.clock.sleep(timings.poll)
        listed = await _found(member)
    if alive := _machines(listed):
        # Write first: if another follower has adopted one of them meanwhile, the write is refused and nothing is given back.
        run = await confirm(member, alive[0])
        await gather_all(*(give_back_duplicate(engine, record, surplus, asked_at) for surplus in alive[1:]))
        return engine.journal.run(run.id) if alive[1:] else run
    if _may_repeat(member, asked_at, secrets):
        return await repeat(member, secrets)
    if age < timings.listing_lag:
        return run
    if age < timings.listing_lag + timings.create_horizon:
        # A job that the provider starts by itself may execute late: take no other offer before this one is certain.
        return run if member.spec.starts_alone else await _unresolved(member)
    return await _never_came(member, listed)


def _may_repeat(member: Member, now: datetime, secrets: Mapping[str, str]) -> bool:
    """Return True if the same call may be made again: the vendor still keeps the token as a key, so it makes no second machine.

    The claim need not be checked here: without a live claim the call is refused as it leaves. A run that ends wants no machine.
    """
    run, record, spec = member.run, member.record, member.spec
    life, since = spec.timings.idempotency, (now - record.intended_at).total_seconds()
    if record.stage is not Stage.UNKNOWN or since + member.engine.timing.key_margin > life:
        return False
    if run.stop_requested or any(one.failed for one in run.members) or is_spent(run, record, now):
        return False
    if spec.submits_job and any(name not in secrets for name in run.job.secrets):
        # Without the values it would be another request.
        return False
    return member.due("repeat", spec.timings.poll)


async def _never_came(member: Member, listed: list[Node]) -> Run:
    """No machine can appear any more. Give back what was made for it (a disk, a network), and close the entry."""
    engine, record, timings = member.engine, member.record, member.spec.timings
    await assure(engine, member.provider_name)
    rests = [await released(engine, node) for node in listed]
    if any(rest.state is not NodeState.GONE for rest in rests):
        return member.run
    detail = f"nothing of it appeared within {timings.create_horizon:.0f} seconds"
    error = OutcomeUnknown(f"{detail} of a create call whose answer was lost", provider=member.provider_name)
    # A lost answer counts as a refusal, or the same offer would be asked for without end. If the client died before it made the
    # call, nothing was refused.
    lost = record.stage is Stage.UNKNOWN and not is_explained(member.run)
    why = [refusal(member.run, record.offer, error, engine.redacted)] if lost else []
    # Another follower may have found it meanwhile and may be giving it back. Then we must not close its entry.
    return await member.step(NodeReleased(detail, unseen_seconds(engine, member.run, record)), *why)


async def _found(member: Member) -> list[Node]:
    """What the provider lists under the node's token and can be ours."""
    record, timings = member.record, member.spec.timings
    doubles = {one.node.id for one in record.duplicates}
    listed = [node for node in await found_of(member.engine, record) if node.id not in doubles]
    return [node for node in listed if node.state is not NodeState.GONE and contradiction(node, record, timings) is None]


def _machines(listed: list[Node]) -> list[Node]:
    return sorted((node for node in listed if node.kind == "machine"), key=lambda node: node.id)


async def _unresolved(member: Member) -> Run:
    """Let the run go on to another offer. Its entry stays open and its price counts under the cap until nothing can appear."""
    engine, record = member.engine, member.record
    engine.called.discard(record.token)
    message = f"what became of the create call is not known: {record.detail or 'it may never have left'}"
    error = OutcomeUnknown(message, provider=member.provider_name)
    return await member.step(NodeUnresolved(message), refusal(member.run, record.offer, error, engine.redacted))
