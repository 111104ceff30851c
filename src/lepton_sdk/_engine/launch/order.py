"""Make the `Launch`: what a provider is told about one machine to make. A repeated call gets the same launch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from attrs import evolve

from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk._engine.launch.watchdog import startup_script
from lepton_sdk._engine.member import Member
from lepton_sdk.domain.events import NodeAnnounced, NodeIntended
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.record import PREREQUISITE, NodeRecord
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.provider import Group, Launch

__all__ = ["launch_of"]


def launch_of(member: Member, secrets: Mapping[str, str]) -> Launch:
    """The launch of a node, made only of journaled values, so that a second call under the same key asks for the same.

    Args:
        secrets: values for a provider that submits the job itself.
    """
    run, record, engine = member.run, member.record, member.engine

    async def announce(kind: str, name: str, *, shared: bool = False) -> None:
        if shared:
            await _announce_shared(member, kind, name)
        else:
            await member.write(NodeAnnounced(kind, name))

    limit = run.job.limits.duration
    return Launch(
        owner=record.owner or engine.journal.owner,
        token=record.token,
        run_id=run.id,
        job_name=run.job.name,
        attempt=record.attempt,
        rank=record.rank,
        resources=run.job.resources,
        deadline=record.intended_at + timedelta(seconds=limit) if limit else None,
        announce=announce,
        startup_script=startup_script(engine, run, record),
        group=Group(record.group, record.rank, run.job.nodes),
        execution=execution_of(engine, run, record, secrets, epoch=record.epoch) if member.spec.submits_job else None,
    )


async def _announce_shared(member: Member, kind: str, name: str) -> None:
    """Announce a thing that is made once for the attempt. It gets its own entry, with the group's id as its token."""
    record = member.record
    if not any(node.token == record.group for node in member.engine.journal.run(member.run.id).nodes):
        # Another node of the attempt may have written it first.
        with suppress(ContractViolation):
            await member.write(_free(record).about(record.group))
    await member.write(NodeAnnounced(kind, name).about(record.group))


def _free(record: NodeRecord) -> NodeIntended:
    """The entry of an attempt's prerequisites. Their price is zero here: the provider's listing shows what each costs."""
    currency = record.offer.price.currency if record.offer.price is not None else "USD"
    offer = evolve(record.offer, price=Money("0", currency))
    return NodeIntended(
        record.attempt,
        PREREQUISITE,
        record.epoch,
        offer,
        record.increment,
        record.lasts,
        owner=record.owner,
        group=record.group,
    )
