"""A job from the client's door to its end, or to the follower that is left with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lepton_sdk._engine.exposure import after_the_job, exposures, exposures_of, refuse_exposure
from lepton_sdk._engine.follower import catch_up, drive, wait_for
from lepton_sdk._engine.leaving import OnCancel, or_leave
from lepton_sdk._engine.logs import with_output
from lepton_sdk._engine.session import Session
from lepton_sdk._engine.submit import check, leave_follower, plan_for, read_secrets, record
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.run import Event, Run
from lepton_sdk.errors import NoOffers
from lepton_sdk.router import Plan

__all__ = ["detach", "run_to_end", "submit"]

OnPlan = Callable[[Plan], None]


async def _examined(
    session: Session, job: Job, environment: Mapping[str, str], on_plan: OnPlan | None
) -> tuple[Plan, dict[str, str]]:
    """The plan and the secrets, after everything that can fail without cost: the journal is not touched."""
    check(job)
    secrets = read_secrets(job, environment)
    if session.has_journal():
        # What a dead client still holds is given back first: this job may need it.
        await catch_up(session)
    plan = await plan_for(session, job, live=True)
    # A provider that only could not be asked just now is asked again by the run.
    if plan.best is None and job.retry.no_capacity.duration is None and not session.passing:
        raise NoOffers(plan.nearest_miss(), hint="lepton route shows why each offer was left out")
    plan.aftermath = after_the_job(session, plan)
    if on_plan is not None:
        on_plan(plan)
    return plan, secrets


async def submit(
    session: Session, job: Job, environment: Mapping[str, str], *, on_plan: OnPlan | None, accept_exposure: bool
) -> Run:
    """Take a job in and leave a follower process that drives it."""
    plan, secrets = await _examined(session, job, environment, on_plan)
    if not accept_exposure:
        refuse_exposure(exposures(session, (one.offer for one in plan), job.nodes))
    run = record(session, job)
    leave_follower(session, [run.id], secrets)
    return run


async def run_to_end(
    session: Session,
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
    plan, secrets = await _examined(session, job, environment, on_plan)
    run_id = session.new_id()

    async def followed() -> Run:
        record(session, job, run_id)
        work = _driven(session, run_id, secrets, plan)
        return await with_output(session, run_id, work, on_output)

    def mine(event: Event) -> None:
        if on_event is not None and event.run == run_id:
            on_event(event)

    with session.shown_to(mine if on_event else None, on_progress):
        return await or_leave(session, run_id, followed(), on_cancel)


async def _driven(session: Session, run_id: str, secrets: Mapping[str, str], plan: Plan) -> Run:
    """Another follower takes a run over from a client that stood still for too long; its end is waited for all the same."""
    return await drive(session, run_id, secrets=secrets, plan=plan) or await wait_for(session, run_id)


async def detach(session: Session, run_id: str, environment: Mapping[str, str], *, accept_exposure: bool) -> None:
    """Leave a follower process that drives an open run."""
    run = session.journal.run(run_id)
    if not accept_exposure:
        refuse_exposure(await exposures_of(session, run))
    leave_follower(session, [run_id], read_secrets(run.job, environment))
