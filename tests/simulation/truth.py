"""What must be true of a world when the dust has settled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

from lepton_sdk.domain.job import Job
from lepton_sdk.testing import Machine, Running, World, executions

__all__ = ["check_executions", "check_world"]


def check_world(world: World, strangers: list[Machine], shown: set[str], *, forgetful: bool) -> Iterator[str]:
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
    for machine in world.machines:
        if machine.told and not machine.plan:
            yield f"{machine.id} has no watchdog and was spoken to as if it had one"
    for one in executions(world):
        if one.machine.plan and one.began < one.machine.armed:
            yield f"a job began on {one.machine.id} before its watchdog lived"
    for token, calls in world.calls.items():
        if calls > 1:
            yield f"{calls} create calls were made for token {token}"


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
