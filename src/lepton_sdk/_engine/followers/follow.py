"""A follower drives runs. Begin with `drive` for one run, or with `follow_all` for a service that drives all of them.

It claims a run, renews the claim while it drives, and stops when another process has taken the run over: two must never drive
one run. If the journal does not answer, it waits. A run whose follower died is taken up by the next one: `wait_for`, `catch_up`
and `follow_all` all do so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from lepton_sdk._engine.claims.renewal import claimed, is_claimed, is_ours, told_holder
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.journal_away import AWAY, Absence, patient
from lepton_sdk._engine.inventory.leftovers import shown, sweep_everywhere
from lepton_sdk._engine.runs.drive import Drive
from lepton_sdk._engine.tasks import end_all
from lepton_sdk.domain.events import StopRequested
from lepton_sdk.domain.record import PREREQUISITE
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import ContractViolation, StaleEpoch
from lepton_sdk.router import Plan

__all__ = ["catch_up", "drive", "follow_all", "is_driven", "listed", "request_stop", "wait_for"]


async def drive(
    engine: Engine,
    run_id: str,
    *,
    secrets: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    wait: bool = True,
) -> Run | None:
    """Drive one run to its end; ``None`` if another follower has the claim, takes it over, or will soon come for the run.

    If the journal does not answer for a while, wait for it. The claim may run out meanwhile, so driving goes on under a new one.
    """
    absence = Absence(engine)
    while True:
        try:
            run = await _drive(engine, run_id, secrets=secrets, plan=plan, wait=wait)
        except AWAY as error:
            if not wait:
                raise
            plan = None
            await absence.wait(error)
        else:
            absence.over()
            return run


async def _drive(engine: Engine, run_id: str, *, secrets: Mapping[str, str] | None, plan: Plan | None, wait: bool) -> Run | None:
    if is_driven(engine, run_id) or _is_awaited(engine, run_id, secrets or {}):
        return None
    lost: list[asyncio.Future[Run]] = []
    # Once our claim is lost, somebody else drives the run. Two must not.
    async with claimed(engine, run_id, lambda _: [work.cancel() for work in lost]) as epoch:
        if epoch is None:
            return None
        work = asyncio.create_task(Drive(engine, run_id, epoch, secrets=secrets, plan=plan, wait=wait).to_the_end())
        lost.append(work)
        try:
            return _told_of_late(engine, await work)
        except StaleEpoch:
            # The node knows a newer follower than us; the journal knows it as well, or soon will.
            return None
        except (asyncio.CancelledError, ContractViolation):
            # We wrote an entry that is not legal any more: another follower has gone on while we stood still.
            with suppress(*AWAY):
                if not is_ours(engine, run_id):
                    return None
            raise
        finally:
            work.cancel()


def _told_of_late(engine: Engine, run: Run) -> Run:
    for node in run.nodes:
        if node.late and node.held and not node.stopped and node.rank == PREREQUISITE:
            engine.tell(
                f"run {run.id}: {', '.join(node.announced)} at {node.offer.provider}, made for all its nodes, is not given back "
                "yet; next: lepton nodes shows it, lepton follow and lepton reconcile give it back"
            )
        elif node.late and node.held and not node.stopped:
            engine.tell(
                f"run {run.id}: a create call at {node.offer.provider} has not been resolved; a machine of it may still turn up; "
                "next: lepton nodes shows it, lepton follow and lepton reconcile seek it and give it back"
            )
    return run


def _is_awaited(engine: Engine, run_id: str, secrets: Mapping[str, str]) -> bool:
    """Return True if the follower with the run's secrets may still come: without them we could only refuse the job."""
    run = engine.journal.run(run_id)
    started = any(node.running_at for node in run.nodes)
    if run.stop_requested or started or all(name in secrets for name in run.job.secrets):
        return False
    return (engine.clock.now() - run.created_at).total_seconds() < engine.timing.secrets


async def wait_for(engine: Engine, run_id: str) -> Run:
    """Wait until a run has ended, and drive it if nobody else does."""
    began, told = engine.clock.monotonic(), False
    while True:
        run = await patient(engine, lambda: engine.journal.run(run_id))
        if run.state.ended:
            return run
        ended = await drive(engine, run_id)
        if ended is not None:
            return ended
        if not told and engine.clock.monotonic() - began > engine.timing.told:
            told = await patient(engine, lambda: _tell_who_drives(engine, run_id))
        await engine.clock.sleep(engine.timing.elsewhere)


def _tell_who_drives(engine: Engine, run_id: str) -> bool:
    """Tell the user which process we wait for, and until when. Return True if there is one."""
    if (who := told_holder(engine, run_id)) is None:
        return False
    engine.say(f"waiting for run {run_id}: it is driven by {who}")
    return True


async def catch_up(engine: Engine) -> None:
    """Take every step that is due in runs that nobody drives, without waiting for anything.

    A provider that does not answer in time must not delay the caller: its runs stay as they are until the next call.
    """
    if engine.journal.frozen:
        return
    adrift = [run_id for run_id in engine.journal.open_runs() if not is_driven(engine, run_id)]
    if adrift:
        with suppress(TimeoutError):
            async with asyncio.timeout(engine.timing.catch_up):
                answers = await asyncio.gather(*(drive(engine, r, wait=False) for r in adrift), return_exceptions=True)
                for run_id, answer in zip(adrift, answers, strict=True):
                    if isinstance(answer, Exception):
                        engine.tell(f"run {run_id}: {answer}")


async def listed(engine: Engine, *, open_only: bool, limit: int | None) -> list[Run]:
    """Runs, newest first, after every step that is due was taken."""
    if not engine.has_journal():
        return []
    await catch_up(engine)
    return engine.journal.runs(open_only=open_only, limit=limit)


def is_driven(engine: Engine, run_id: str) -> bool:
    """Return True if a follower has the claim on the run, also one of this client."""
    return is_claimed(engine, run_id)


async def follow_all(
    engine: Engine,
    *,
    only: frozenset[str] = frozenset(),
    until_idle: bool = False,
    secrets: Mapping[str, str] | None = None,
) -> int:
    """Drive all open runs, and new ones as they come, as a service.

    Args:
        only: drive only these runs; empty for all.
        until_idle: return when no open run is left.
        secrets: values for jobs that name secrets and have not started yet.

    Returns:
        The number of runs that it drove.
    """
    tasks: dict[str, asyncio.Task[Run | None]] = {}
    sweeping, listing = asyncio.create_task(_sweep_again_and_again(engine)), asyncio.create_task(_list_often(engine))
    driven: set[str] = set()
    try:
        while True:
            # While the journal does not answer, nothing new begins. Runs that go on wait for it by themselves.
            open_runs = [
                run_id for run_id in await patient(engine, lambda: engine.journal.open_runs()) if not only or run_id in only
            ]
            for run_id in open_runs:
                if run_id not in tasks or tasks[run_id].done():
                    pause = _told(engine, run_id, tasks.pop(run_id, None))
                    tasks[run_id] = asyncio.create_task(_after(engine, pause, run_id, secrets))
                    driven.add(run_id)
            if until_idle and not open_runs and not await patient(engine, lambda: _is_owed(engine, only)):
                return len(driven)
            if engine.is_busy and listing.done():
                listing = asyncio.create_task(_list_often(engine))
            await engine.clock.sleep(engine.timing.elsewhere)
    finally:
        await end_all([sweeping, listing, *tasks.values()])


async def _sweep_again_and_again(engine: Engine) -> None:
    while True:
        with suppress(*AWAY):
            await sweep_everywhere(engine)
        await engine.clock.sleep(engine.timing.sweep)


async def _list_often(engine: Engine) -> None:
    """List often if there are so many nodes that each is polled rarely: a listing shows in time which one has died."""
    while engine.is_busy:
        await engine.clock.sleep(engine.timing.listing)
        for name in await patient(engine, lambda: engine.journal.providers_with_open_nodes()):
            # A provider that cannot be asked, or has a bug, says nothing of any node. The code that needs its answer reports it.
            with suppress(Exception):
                poll = engine.spec(name).timings.poll
                if poll < engine.poll_seconds():
                    await shown(engine, name, poll)


def _is_owed(engine: Engine, only: frozenset[str]) -> bool:
    """Return True if a machine of a run that has ended may still turn up."""
    late = [run for run in engine.journal.runs(open_only=True) if not only or run.id in only]
    return any(node.open and not node.awaited for run in late for node in run.nodes)


async def _after(engine: Engine, pause: float, run_id: str, secrets: Mapping[str, str] | None) -> Run | None:
    await engine.clock.sleep(pause)
    return await drive(engine, run_id, secrets=secrets)


def _told(engine: Engine, run_id: str, task: asyncio.Task[Run | None] | None) -> float:
    """The pause before a run is tried again. Trouble with one run must not end the service: the user is told of it."""
    if task is None or task.cancelled():
        return 0
    error = task.exception()
    if error is None:
        return 0 if task.result() is not None else engine.timing.held
    line = engine.redacted(f"run {run_id}: {error}")
    if line not in engine.notices:
        engine.tell(line)
        logging.getLogger("lepton_sdk").warning(line)
    return engine.timing.trouble


def request_stop(engine: Engine, run_id: str, *, now: bool = False) -> None:
    """Write that the run shall end. The follower that drives it sees the entry.

    Args:
        now: wait for nothing any more, not even for log and outputs.
    """
    run = engine.journal.run(run_id)
    if not run.state.ended and not (run.stop_now if now else run.stop_requested):
        engine.append(run_id, StopRequested(now))
