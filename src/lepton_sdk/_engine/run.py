"""The whole story of a run on one page: market, route, acquire, execute, release.

`advance` looks at the journal and takes the next step, whoever took the last one: going on after a crash and going on
after the last line are the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lepton_sdk._engine.acquire import acquire, resolve
from lepton_sdk._engine.execute import await_reachable, follow, start
from lepton_sdk._engine.failover import blocked_names, due_at, no_offer, scopes
from lepton_sdk._engine.release import release
from lepton_sdk._engine.session import Session
from lepton_sdk._engine.submit import plan_for
from lepton_sdk.domain.node import Stage
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.retry import Cause
from lepton_sdk.domain.run import Event, Run
from lepton_sdk.errors import BudgetExceeded
from lepton_sdk.router import Plan

__all__ = ["Drive"]

# How often a run that waits for its next attempt looks whether it was stopped.
_LOOK_SECONDS = 0.5


class Drive:
    """One follower's work on one run, under a claim with ``epoch``.

    Args:
        secrets: values that came with the submission; empty for a follower that took over.
        plan: the plan that was shown to the user, so that the market is not asked twice.
        wait: ``False`` takes every step that can be taken now and stops at the first that must wait.
    """

    def __init__(
        self,
        session: Session,
        run_id: str,
        epoch: int,
        *,
        secrets: Mapping[str, str] | None = None,
        plan: Plan | None = None,
        wait: bool = True,
    ) -> None:
        self._session = session
        self._run_id = run_id
        self._epoch = epoch
        self._secrets = secrets or {}
        self._plan = plan
        self._wait = wait

    async def to_the_end(self) -> Run:
        """Advance until the run has ended, or (without waiting) until nothing moves."""
        run = self._session.journal.run(self._run_id)
        while not run.state.ended:
            before = run
            run = await self.advance(run)
            if run == before:
                if not self._wait:
                    break
                await self._session.clock.sleep(self._pause(run))
                run = self._session.journal.run(self._run_id)
        return run

    async def advance(self, run: Run) -> Run:
        """Take the one step that is due."""
        session, record = self._session, run.current
        if record is None or record.stage is Stage.RELEASED:
            return await self._next_attempt(run)
        if run.stop_requested and record.stage in {Stage.OWNED, Stage.REACHABLE}:
            return await release(session, run, record, wait=self._wait)
        match record.stage:
            case Stage.INTENDED | Stage.UNKNOWN:
                return await resolve(session, run, record)
            case Stage.OWNED:
                return await await_reachable(session, run, record, wait=self._wait)
            case Stage.REACHABLE:
                return await start(session, run, record, self._epoch, self._secrets)
            case Stage.RUNNING:
                return await follow(
                    session,
                    run,
                    record,
                    wait=self._wait,
                    stop_requested=self._stop_requested,
                    secrets=self._secrets,
                )
            case _:
                return await release(session, run, record, wait=self._wait)

    async def _next_attempt(self, run: Run) -> Run:
        now = self._session.clock.now()
        if run.stop_requested:
            end = {"state": "stopped", "error": "the run was stopped on request"}
            return self._session.journal.append(Event("run.finished", run.id, now, None, end))
        if (due := due_at(run)) is not None and due > now:
            return run
        plan, self._plan = self._plan or await plan_for(self._session, run.job, live=True), None
        offer = next(self._open_offers(run, plan), None)
        if offer is None:
            refused = run.failures(Cause.NO_CAPACITY)
            words = f"{len(refused)} offers were refused; the last said: {refused[-1].message}" if refused else ""
            return self._session.journal.append(no_offer(run, words or plan.nearest_miss(), now))
        try:
            return await acquire(self._session, run, offer, self._epoch)
        except BudgetExceeded as error:
            return self._session.journal.append(no_offer(run, error.message, now))

    def _open_offers(self, run: Run, plan: Plan) -> Iterator[Offer]:
        """Every feasible offer in order, without what earlier attempts blocked."""
        blocked = blocked_names(run)
        for candidate in plan:
            if blocked.isdisjoint(scopes(candidate.offer).values()):
                yield candidate.offer

    def _stop_requested(self) -> bool:
        return self._session.journal.is_stopping(self._run_id)

    def _pause(self, run: Run) -> float:
        name = run.provider if run.current and run.current.open else None
        return self._session.spec(name).timings.poll if name else _LOOK_SECONDS
