"""The whole story of a run on one page: ask the market, choose an offer, acquire, boot, run the job, release.

Begin with `Drive.advance`. It reads the run's state from the journal and takes every step that is due, whoever took the last
one. So there is no special code for going on after a crash. `_step` maps the stage of each node to its step, and each step
is a file beside this one. `_next_attempt` chooses the next offer, or ends the run.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, assert_never

from lepton_sdk._engine.claims.renewal import claimed
from lepton_sdk._engine.claims.stall import watched
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.market import plan_for
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.polling import Throttle
from lepton_sdk._engine.runs.acquire import acquire
from lepton_sdk._engine.runs.attempts import PEER, after, blocked_names, due_at, is_explained, no_offer, scopes, unasked
from lepton_sdk._engine.runs.boot import check_boot, is_missed
from lepton_sdk._engine.runs.execute import start
from lepton_sdk._engine.runs.observe import is_overdue, observe
from lepton_sdk._engine.runs.prerequisites import clear
from lepton_sdk._engine.runs.recover import resolve
from lepton_sdk._engine.runs.release import release
from lepton_sdk._engine.tasks import Workers
from lepton_sdk.domain.events import RunFinished
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.record import PREREQUISITE
from lepton_sdk.domain.retry import Cause
from lepton_sdk.domain.run import Run, RunState
from lepton_sdk.domain.stage import ENDING, READY, Stage
from lepton_sdk.errors import BudgetExceeded
from lepton_sdk.router import Plan

__all__ = ["Drive"]

# Between two polls of a job that does not change the pause grows by this.
_GROWTH = 1.3


class Drive:
    """One follower's work on one run, under a claim with ``epoch``.

    Args:
        secrets: values that came with the submission; empty for a follower that took over.
        plan: the plan that the user saw, so that the market is not asked twice.
        wait: ``False`` takes every step that can be taken now and stops at the first that must wait.
    """

    def __init__(
        self,
        engine: Engine,
        run_id: str,
        epoch: int,
        *,
        secrets: Mapping[str, str] | None = None,
        plan: Plan | None = None,
        wait: bool = True,
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._epoch = epoch
        self._secrets = secrets or {}
        self._plan = plan
        self._wait = wait
        self._throttle = Throttle(engine.clock)
        self._stops = 0
        self._steps: Workers[Run] = Workers()

    async def to_the_end(self) -> Run:
        """Advance until the run has ended, or (without ``wait``) until nothing moves."""
        try:
            with watched(self._engine):
                return await self._advance_all(self._engine.journal.run(self._run_id))
        finally:
            await self._steps.stop()
            self._engine.forget_hurry(self._run_id)

    async def _advance_all(self, run: Run) -> Run:
        pause = self._shortest_pause()
        run = self._heard(run)
        while not run.state.ended:
            before, run = run, await self.advance(run, pause)
            if run != before:
                pause = self._shortest_pause()
            else:
                if not self._steps:
                    if not self._wait:
                        break
                    await self._engine.clock.sleep(self._pause(run, pause))
                pause = min(self._engine.poll_seconds(), pause * _GROWTH)
            run = self._heard(run)
        return run

    def _heard(self, run: Run) -> Run:
        """The run, with every stop request that came meanwhile. A stop shortens the work before the release."""
        stops = self._engine.journal.stops(run.id)
        if stops != self._stops or run.stop_requested is not bool(stops):
            self._stops = stops
            run = self._engine.journal.run(run.id)
        if run.stop_requested:
            self._engine.hurry(run.id).stop(now=run.stop_now)
        return run

    async def advance(self, run: Run, pause: float) -> Run:
        """Take every step that is due now. Long steps go on in the background: return when the next poll is due."""
        self._engine.journal.refuse_frozen()
        if not any(member.awaited for member in (*run.members, *run.prerequisites)):
            # Another follower has settled these entries meanwhile. Nobody would wait for the steps that still go on here.
            await self._steps.stop()
            return await self._next_attempt(run)
        self._begin(run, pause)
        if not self._steps:
            return run
        runs = await self._steps.some(self._pause(run, pause))
        if all(one is run for one in runs):
            return run
        # Steps of several nodes do not know what the others have written, and a cancelled step may have written as well.
        first = runs[0]
        return first if first is not None and len(run.members) == 1 else self._engine.journal.run(run.id)

    def _begin(self, run: Run, pause: float) -> None:
        """Begin a step for each node of the attempt that has one due. One failed node ends the attempt for all."""
        records = [record for record in run.members if record.awaited]
        if not records:
            # The last node is gone. Now give back what was made for all of them.
            records = list(run.prerequisites)
        over = run.stop_requested or any(record.failed for record in run.members)
        if over:
            # Steps that were begun for a job that goes on would delay the release.
            self._steps.break_off()
        if run.id in self._steps:
            # One start step serves all nodes at once.
            return
        if not over and {one.stage for one in records} <= READY and any(one.stage is Stage.REACHABLE for one in records):
            if not self._steps:
                self._steps.begin(run.id, start(self._engine, run, self._epoch, self._secrets, self._throttle))
            return
        for record in records:
            member = Member(self._engine, run, record, self._throttle)
            if record.token not in self._steps and (step := self._step(member, pause, over=over)) is not None:
                to_the_end = over or record.stage in ENDING or is_overdue(member)
                self._steps.begin(record.token, step, to_the_end=to_the_end)

    def _step(self, member: Member, poll: float, *, over: bool) -> Coroutine[Any, Any, Run] | None:
        """The step that is due for one node, by its stage; ``None`` if nothing is due now."""
        record, vendor_poll = member.record, member.spec.timings.poll
        if record.rank == PREREQUISITE:
            return clear(member) if member.due("find", vendor_poll) else None
        match record.stage:
            case Stage.OWNED | Stage.REACHABLE if over:
                return release(member, reason=None if member.run.stop_requested else PEER)
            case Stage.INTENDED | Stage.UNKNOWN:
                return resolve(member, self._secrets) if member.due("find", vendor_poll) else None
            case Stage.OWNED:
                return check_boot(member) if member.due("boot", vendor_poll) else None
            case Stage.REACHABLE:
                return None
            # A little early, because a clock may wake us a little early.
            case Stage.RUNNING if member.due("poll", 0.9 * poll) or is_missed(self._engine, record):
                return observe(member, ending=over, secrets=self._secrets)
            case Stage.RUNNING:
                return None
            case Stage.FINISHED | Stage.LOST | Stage.RELEASING:
                return release(member) if member.due("release", vendor_poll) else None
            case Stage.UNRESOLVED | Stage.RELEASED:
                return None
            case _:
                assert_never(record.stage)

    async def _next_attempt(self, run: Run) -> Run:
        now = self._engine.clock.now()
        if run.members and not is_explained(run) and (rows := tuple(after(run, now))):
            return await self._engine.write(run.id, *rows)
        if run.stop_requested:
            return await self._engine.write(run.id, RunFinished(str(RunState.STOPPED), error="the run was stopped on request"))
        if (due := due_at(run)) is not None and due > now:
            return run
        plan, self._plan = self._plan or await plan_for(self._engine, run.job, live=True), None
        offer = next(self._open_offers(run, plan), None)
        if offer is None:
            if (row := unasked(run, self._engine.passing)) is not None:
                return await self._engine.write(run.id, row)
            refused = [attempt for attempt in run.failures(Cause.NO_CAPACITY) if attempt.wait is None]
            words = f"{len(refused)} offers were refused; the last said: {refused[-1].message}" if refused else ""
            return await self._engine.write(run.id, no_offer(run, words or plan.nearest_miss(), now))
        try:
            if run.job.nodes == 1:
                return await self._acquire(run, offer)
            return await self._in_turn(run, offer, plan)
        except BudgetExceeded as error:
            return await self._engine.write(run.id, no_offer(run, error.message, now))

    async def _acquire(self, run: Run, offer: Offer) -> Run:
        return await acquire(self._engine, run, offer, self._epoch, self._secrets, self._throttle)

    async def _in_turn(self, run: Run, offer: Offer, plan: Plan) -> Run:
        """Acquire several machines under a claim on their kind.

        Without it, two runs that want the last machines of one kind could each take half of them, and neither would start.
        """
        name = f"turn {offer.provider} {offer.instance_type} {offer.region}"
        async with claimed(self._engine, name, lambda _: None) as turn:
            if turn is None:
                self._plan = plan
                return run
            return await self._acquire(run, offer)

    def _open_offers(self, run: Run, plan: Plan) -> Iterator[Offer]:
        """Every feasible offer in order, without those that earlier attempts blocked."""
        blocked = blocked_names(run)
        for candidate in plan:
            if blocked.isdisjoint(scopes(candidate.offer).values()):
                yield candidate.offer

    def _shortest_pause(self) -> float:
        return self._engine.timing.shortest_poll * self._engine.poll_seconds()

    def _pause(self, run: Run, pause: float) -> float:
        # A stop request must be noticed soon, whatever else the run waits for.
        return min(self._longest_pause(run, pause), self._engine.poll_seconds())

    def _longest_pause(self, run: Run, pause: float) -> float:
        records = [record for record in (*run.members, *run.prerequisites) if record.awaited]
        if not records:
            return self._engine.timing.next_attempt
        polls = [self._engine.spec(record.offer.provider).timings.poll for record in records]
        if any(record.stage is Stage.RUNNING and record.token not in self._steps for record in records):
            return min(pause, *polls)
        return min(polls)
