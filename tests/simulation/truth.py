"""What must be true of a world when the dust has settled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.testing import SIM_SPEC, Machine, Running, VirtualClock, World, bill, executions

__all__ = ["Shown", "check_cost", "check_executions", "check_gangs", "check_world", "is_belated"]

# The cloud rounds its bill to cents.
_CENT = Money("0.01")
# Seconds from a listing to the end of the command that shows it.
_ASKING = 30
# Seconds that a create call takes to reach the cloud, at most.
_CALLING = 5.0
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

# The machines that the last command showed, by id: the cost that it gave, and when.
Shown = dict[str, tuple[Money | None, float]]


def check_world(world: World, strangers: list[Machine], shown: Shown, *, forgetful: bool) -> Iterator[str]:
    now = asyncio.get_running_loop().time()
    for machine in world.machines:
        if machine.gone is not None and (machine in strangers or machine.cloned):
            yield f"{machine.id} of {machine.owner} was released and is not ours to release"
    for machine in world.billed(now):
        # What is ours and cannot be told from a copy, or is older than the journal's memory, is shown and no more.
        if machine.id not in shown and machine.owner != "somebody":
            yield f"{machine.id} (token {machine.token}) is still billed, and nothing shows it"
        elif machine.id in shown and not (machine in strangers or machine.cloned or not machine.stamped or forgetful):
            yield f"{machine.id} (token {machine.token}) is still billed"
        elif machine.id in shown and not _is_told(machine, *shown[machine.id]):
            cost, at = shown[machine.id]
            yield f"{machine.id} was shown with a cost of {cost}, and the cloud billed {bill(machine, at)}"
    for machine in world.machines:
        if machine.told and not machine.plan:
            yield f"{machine.id} has no watchdog and was spoken to as if it had one"
    for one in executions(world):
        if one.machine.plan and one.began < one.machine.armed:
            yield f"a job began on {one.machine.id} before its watchdog lived"
    for token, calls in world.calls.items():
        made = [m for m in world.machines if m.token == token and not m.cloned and not m.doubled]
        if len(made) > 1:
            yield f"{len(made)} machines were made for token {token}"
        if late := [call for call in calls[1:] if call > calls[0] + world.keys]:
            yield f"a create call for token {token} was made again {late[0] - calls[0]:.0f} s after the first one"


def _is_told(machine: Machine, cost: Money | None, now: float) -> bool:
    """Whether the line of a machine says what it has cost, give or take one billing increment and the time that asking takes."""
    price = machine.offer.price
    assert price is not None
    slack = price * int(SIM_SPEC.timings.billing_increment + _ASKING) * (1 / Decimal(3600)) + _CENT
    return cost is not None and cost - slack <= bill(machine, now) <= cost + slack


def check_executions(world: World, job: Job) -> Iterator[str]:
    for rank in range(job.nodes):
        yield from _check_rank(job, [one for one in executions(world) if one.rank == rank])


def _check_rank(job: Job, executed: list[Running]) -> Iterator[str]:
    done = sorted(executed, key=lambda one: one.began)
    for first, second in pairwise(done):
        if second.began < first.end():
            until, since = f"{first.machine.id} until {first.end():.0f}", f"{second.machine.id} from {second.began:.0f}"
            yield f"two machines executed one node at once: {until}, {since}"
    allowed = 1 + (job.retry.interruption.count or 0)
    if len(done) > allowed:
        yield f"{len(done)} executions of one node where the job allows {allowed}"


def check_gangs(world: World, run: Run) -> Iterator[str]:
    """A job of several nodes begins where all of them are."""
    for number in range(1, run.attempts + 1):
        began = min((one.began for one in executions(world) if (one.run, one.attempt) == (run.id, number)), default=None)
        tokens = {node.token for node in run.nodes if node.attempt == number}
        there = {m.token for m in world.machines if began is not None and m.token in tokens and m.ready <= began}
        if began is not None and len(there) < run.job.nodes:
            yield f"attempt {number} began its job with {len(there)} of {run.job.nodes} nodes"


def check_cost(world: World, run: Run, *, whole: bool) -> Iterator[str]:
    """Our cost is a range that contains the cloud's bill, give or take one billing increment for each machine.

    What lost its tags before anybody saw it is no machine of the row any more: the line that shows it says its own cost. And
    what came of a call that left too late, and went unseen, is in no row. Nor is that of a row that was closed on two listings
    which broke off, unless all of them were ``whole``.
    """
    for record in run.nodes:
        made = [m for m in world.machines if m.token == record.token and not m.cloned]
        known = {one.node.id for one in record.duplicates} | ({record.node.id} if record.node else set())
        yield from _check_row(record, [m for m in made if m.id in known])
        for machine in made:
            if machine.id in known or not machine.stamped or is_belated(record, machine):
                continue
            if why := _unaccounted(record, machine, whole=whole):
                yield why


def is_belated(record: NodeRecord, machine: Machine) -> bool:
    """Whether a host stood still in the very create call, for longer than anybody waits for what may come of one."""
    made = (record.called_at - _BEGINNING).total_seconds() + SIM_SPEC.timings.create_horizon
    return machine.created > made + _CALLING


def _check_row(record: NodeRecord, machines: list[Machine]) -> Iterator[str]:
    now, seconds = VirtualClock().now(), asyncio.get_running_loop().time()
    least, most = record.cost_least(now), record.cost_most(now)
    billed = sum((bill(machine, seconds) for machine in machines), Money("0"))
    price = record.price
    assert least is not None
    assert most is not None
    assert price is not None
    slack = (price * int(SIM_SPEC.timings.billing_increment) * (1 / Decimal(3600)) + _CENT) * len(machines)
    if not least - slack <= billed <= most + slack:
        yield f"token {record.token} ({record.stage}) costs {least} to {most}, and the cloud bills {billed}"


def _unaccounted(record: NodeRecord, machine: Machine, *, whole: bool) -> str | None:
    """What no row names was seen by nobody: its own watchdog ended it while no client was there."""
    if machine.gone is not None or machine.ended() >= 1e12:
        return f"{machine.id} (token {record.token}) was billed, and is in no cost"
    lasted = machine.ended() - (record.intended_at - _BEGINNING).total_seconds()
    if whole and record.node is None and not record.duplicates and lasted > record.unseen:
        return (
            f"{machine.id} (token {record.token}) may have been billed for {lasted:.0f} s, and its row says {record.unseen:.0f}"
        )
    return None
