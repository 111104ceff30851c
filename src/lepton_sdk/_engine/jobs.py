"""A job from the client's call to its end (`run_to_end`), or to a follower process that goes on with it (`submit`, `detach`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lepton_sdk._engine.claims.successor import leave_follower
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.followers.exposure import after_the_job, exposures, exposures_of, refuse_exposure
from lepton_sdk._engine.followers.follow import catch_up, drive, wait_for
from lepton_sdk._engine.followers.leaving import OnCancel, or_leave
from lepton_sdk._engine.logs import with_output
from lepton_sdk._engine.market import plan_for
from lepton_sdk._engine.runs.submit import check, read_secrets, record
from lepton_sdk.domain.events import Event
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import NoOffers
from lepton_sdk.router import Plan

__all__ = ["detach", "run_to_end", "submit"]

OnPlan = Callable[[Plan], None]


async def _examined(
    engine: Engine, job: Job, environment: Mapping[str, str], on_plan: OnPlan | None
) -> tuple[Plan, dict[str, str]]:
    """The plan and the secrets, after every check that can fail without cost. Nothing of this job is in the journal yet."""
    check(job)
    secrets = read_secrets(job, environment)
    if engine.has_journal():
        # First give back the machines of clients that died: this job may need them.
        await catch_up(engine)
    plan = await plan_for(engine, job, live=True)
    # If a provider only could not be asked just now, the run will ask it again.
    if plan.best is None and job.retry.no_capacity.duration is None and not engine.passing:
        raise NoOffers(plan.nearest_miss(), hint="lepton route shows why each offer was left out")
    plan.aftermath = after_the_job(engine, plan)
    if on_plan is not None:
        on_plan(plan)
    return plan, secrets


async def submit(
    engine: Engine, job: Job, environment: Mapping[str, str], *, on_plan: OnPlan | None, accept_exposure: bool
) -> Run:
    """Accept a job and leave a follower process that drives it."""
    plan, secrets = await _examined(engine, job, environment, on_plan)
    if not accept_exposure:
        refuse_exposure(exposures(engine, (one.offer for one in plan), job.nodes))
    run = record(engine, job)
    leave_follower(engine, [run.id], secrets)
    return run


async def run_to_end(
    engine: Engine,
    job: Job,
    environment: Mapping[str, str],
    *,
    on_plan: OnPlan | None,
    on_event: Callable[[Event], None] | None,
    on_output: Callable[[bytes], object] | None,
    on_progress: Callable[[str], None] | None,
    on_cancel: OnCancel,
) -> Run:
    """Run a job to its end and give the machine back."""
    plan, secrets = await _examined(engine, job, environment, on_plan)
    run_id = engine.new_id()

    async def followed() -> Run:
        record(engine, job, run_id)
        work = _driven(engine, run_id, secrets, plan)
        return await with_output(engine, run_id, work, on_output)

    def mine(event: Event) -> None:
        if on_event is not None and event.run == run_id:
            on_event(event)

    with engine.shown_to(mine if on_event else None, on_progress):
        return await or_leave(engine, run_id, followed(), on_cancel)


async def _driven(engine: Engine, run_id: str, secrets: Mapping[str, str], plan: Plan) -> Run:
    """Drive the run. If we stood still for too long and another follower has taken over, wait for the end all the same."""
    return await drive(engine, run_id, secrets=secrets, plan=plan) or await wait_for(engine, run_id)


async def detach(engine: Engine, run_id: str, environment: Mapping[str, str], *, accept_exposure: bool) -> None:
    """Leave a follower process that drives an open run."""
    run = engine.journal.run(run_id)
    if not accept_exposure:
        refuse_exposure(await exposures_of(engine, run))
    leave_follower(engine, [run_id], read_secrets(run.job, environment))
