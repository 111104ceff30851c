"""Decide what follows an attempt: the run's end, or another attempt if the job's retry rules allow it. Begin with `after`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from math import inf

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk.domain.events import AttemptFailed, RunFinished
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.retry import Cause
from lepton_sdk.domain.run import Run, RunState
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import BlockScope, Disposition, LeptonError, RateLimited

__all__ = [
    "PEER",
    "after",
    "blocked_names",
    "blocks",
    "deciding_node",
    "due_at",
    "is_explained",
    "no_offer",
    "pause_before",
    "refusal",
    "scopes",
    "unasked",
]

# The reason of a node that did nothing wrong: another node of its attempt failed.
PEER = "peer"

# The first pause if the job sets none: the market is asked again after a minute, a machine is replaced sooner.
_PAUSES = {Cause.NO_CAPACITY: 60.0, Cause.INTERRUPTION: 5.0, Cause.ERROR: 10.0}
_NO_OFFER = "NoOffers"
# The pause doubles each time the same provider is asked again. All pauses in a row add up to two minutes at most.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 120.0

# The reason that a node gave → the run's final state, and the text that explains it.
_ENDS: dict[str, tuple[RunState, str]] = {
    "timeout": (RunState.TIMED_OUT, "the job reached its time limit and was ended"),
    "cancelled": (RunState.STOPPED, "the run was stopped on request"),
    "setup": (RunState.FAILED, "setup ended with exit code {}"),
    "refused": (RunState.FAILED, "the job could not be started"),
    "idle": (RunState.TIMED_OUT, "the job left its GPUs idle for longer than its limit and was ended"),
    "budget": (RunState.TIMED_OUT, "the run had used up its total limit before the job began"),
}


def scopes(offer: Offer) -> dict[BlockScope, str]:
    """The names that block an offer for a run, from this one offer up to its whole provider."""
    provider, instance_type, region, _ = offer.key
    return {
        BlockScope.OFFER: f"offer {' '.join(offer.key)}",
        BlockScope.INSTANCE_TYPE: f"instance-type {provider} {instance_type}",
        BlockScope.REGION: f"region {provider} {region}",
        BlockScope.PROVIDER: f"provider {provider}",
    }


def blocks(offer: Offer, error: LeptonError) -> str:
    """The name that an error blocks for a run. An error without a scope blocks its offer, so it is not asked again at once."""
    names = scopes(offer)
    return names.get(error.scope, names[BlockScope.OFFER])


def pause_before(run: Run, provider: str, error: LeptonError) -> float | None:
    """Seconds until the same provider is asked once more; ``None`` if other offers come next.

    A provider that limits the rate, or did not answer a call that makes nothing, has refused nothing. But once all waits in a
    row would pass two minutes, another offer comes sooner.
    """
    if error.disposition is not Disposition.RETRY_SAME:
        return None
    waits: list[float] = []
    for attempt in reversed(run.history):
        if attempt.wait is None or attempt.provider != provider:
            break
        waits.append(attempt.wait)
    asked = error.retry_after if isinstance(error, RateLimited) else None
    wait = _FIRST_WAIT * 2 ** len(waits) if not _is_seconds(asked) else max(_FIRST_WAIT, float(asked or 0))
    return wait if sum(waits) + wait <= _LONGEST_WAIT else None


def refusal(run: Run, offer: Offer, error: LeptonError, redacted: Callable[[str], str]) -> AttemptFailed:
    """The entry for an offer that was refused, at once or after it was promised: what it blocks, and what comes next."""
    # The run's end shows what the user can do about it.
    advice = f"; next: {one_line(str(error.hint))}" if error.hint else ""
    wait = pause_before(run, offer.provider, error)
    return AttemptFailed(
        number=run.attempts,
        provider=offer.provider,
        instance_type=offer.instance_type,
        error=type(error).__name__,
        message=redacted(f"{words_of(error)}{advice}"),
        blocked="" if wait is not None else blocks(offer, error),
        next=_next(error, wait),
        wait=wait,
    )


def _next(error: LeptonError, wait: float | None) -> str:
    if wait is not None:
        return f"ask {error.provider or 'it'} again in {show_duration(wait)}"
    return "next offer" if error.disposition is not Disposition.GIVE_UP else error.hint or ""


def unasked(run: Run, errors: Mapping[str, LeptonError]) -> AttemptFailed | None:
    """The entry when nothing fits and a provider could not be asked: ask that provider again, if that is soon."""
    for provider, error in errors.items():
        if not run.stop_requested and (wait := pause_before(run, provider, error)) is not None:
            then = f"ask {provider} again in {show_duration(wait)}"
            return _attempt(run, provider, "", type(error).__name__, error.message, then, Cause.NO_CAPACITY, wait)
    return None


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf


def blocked_names(run: Run) -> set[str]:
    """The names that this run does not ask again. Asking the market anew after a pause forgets all earlier ones."""
    names: set[str] = set()
    for attempt in run.history:
        names = set() if attempt.error == _NO_OFFER else names | {attempt.blocked}
    return names - {""}


def after(run: Run, now: datetime) -> Iterator[AttemptFailed | RunFinished]:
    """The entries after the release of an attempt's last node: how the run ended, or why another attempt is due."""
    record = deciding_node(run)
    never_came = record.node is None and record.reason is None
    if (never_came or is_explained(run)) and not run.stop_requested:
        # The provider refused, at once or after it had promised. The history says so already.
        return
    state, error = _verdict(run, record)
    cause = _cause(record, state)
    if cause is not None and not run.stop_requested and _allows(run, cause, now):
        yield _again(run, record, cause, error)
        return
    words = _of_node(run, record, error) if error and state is not RunState.STOPPED else error
    yield RunFinished(str(state), record.exit_code, record.signal, words or None)


def is_explained(run: Run) -> bool:
    """Return True if the history says why the newest attempt did not end the run."""
    newest = run.attempts
    return any(entry.number == newest and entry.error != _NO_OFFER for entry in run.history)


def deciding_node(run: Run) -> NodeRecord:
    """The node that decides how the newest attempt ended.

    That is one that was refused, else one that was lost (the others fail because of it), else the one that failed first, else
    the first.
    """
    culprits = [member for member in run.members if member.failed and member.reason != PEER]
    return min(culprits, key=_blame, default=run.members[0])


def _blame(record: NodeRecord) -> tuple[bool, bool, float, int]:
    ended = record.finished_at.timestamp() if record.finished_at else 0.0
    return (record.node is not None, record.reason is not None, ended, record.rank)


def no_offer(run: Run, words: str, now: datetime) -> AttemptFailed | RunFinished:
    """The entry when the market has nothing for the run now: wait and ask again, or end the run."""
    if not run.stop_requested and _allows(run, Cause.NO_CAPACITY, now, only=_NO_OFFER):
        pause = show_duration(_pause(run, Cause.NO_CAPACITY, only=_NO_OFFER))
        return _attempt(run, "", "", _NO_OFFER, words, f"look again in {pause}", Cause.NO_CAPACITY)
    return RunFinished(str(RunState.REFUSED), error=words)


def due_at(run: Run) -> datetime | None:
    """When the next attempt may begin; ``None`` means at once."""
    last = run.history[-1] if run.history else None
    if last is not None and last.wait is not None:
        return datetime.fromisoformat(last.at) + timedelta(seconds=last.wait)
    if last is None or last.blocked or (run.current and run.current.released_at and _is_older(last.at, run.current)):
        return None
    cause = Cause(last.cause)
    only = _NO_OFFER if cause is Cause.NO_CAPACITY else None
    done = len([a for a in run.failures(cause) if only is None or a.error == only])
    return datetime.fromisoformat(last.at) + timedelta(seconds=run.job.retry.rule(cause).pause(done, _PAUSES[cause]))


def _is_older(at: str, record: NodeRecord) -> bool:
    return record.intended_at > datetime.fromisoformat(at)


def _verdict(run: Run, record: NodeRecord) -> tuple[RunState, str]:
    if record.reason in _ENDS:
        state, words = _ENDS[record.reason]
        text = words.format(record.exit_code)
        return state, f"{text}: {record.detail}" if record.detail else text
    if record.reason is not None:
        return (RunState.SUCCEEDED if record.exit_code == 0 else RunState.FAILED), ""
    if run.stop_requested:
        return RunState.STOPPED, _ENDS["cancelled"][1]
    return RunState.LOST, record.detail or "the node was lost"


def _of_node(run: Run, record: NodeRecord, words: str) -> str:
    """A text about a node; it names the node if the job has several."""
    return f"node {record.rank}: {words}" if run.job.nodes > 1 else words


def _cause(record: NodeRecord, state: RunState) -> Cause | None:
    if state is RunState.LOST:
        return Cause.INTERRUPTION
    return Cause.ERROR if state is RunState.FAILED and record.reason != "refused" else None


def _allows(run: Run, cause: Cause, now: datetime, only: str | None = None) -> bool:
    done = 1 + len([a for a in run.failures(cause) if only is None or a.error == only])
    return run.job.retry.rule(cause).allows(done, (now - run.created_at).total_seconds())


def _pause(run: Run, cause: Cause, only: str | None = None) -> float:
    done = 1 + len([a for a in run.failures(cause) if only is None or a.error == only])
    return run.job.retry.rule(cause).pause(done, _PAUSES[cause])


def _again(run: Run, record: NodeRecord, cause: Cause, error: str) -> AttemptFailed:
    code = f"exit code {record.exit_code}" if record.exit_code is not None else "no result"
    name = {Cause.ERROR: "JobFailed", Cause.INTERRUPTION: "NodeLost"}[cause]
    then = f"attempt {run.attempts + 1} in {show_duration(_pause(run, cause))}"
    words = _of_node(run, record, error or code)
    row = _attempt(run, record.offer.provider, record.offer.instance_type, name, words, then, cause)
    return row.about(record.token)


def _attempt(
    run: Run, provider: str, instance_type: str, error: str, message: str, then: str, cause: Cause, wait: float | None = None
) -> AttemptFailed:
    return AttemptFailed(run.attempts, provider, instance_type, error, message, "", then, str(cause), wait)
