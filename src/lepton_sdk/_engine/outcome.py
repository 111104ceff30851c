"""Turn a run that did not succeed into an error, for callers that want one."""

from __future__ import annotations

from lepton_sdk.domain.run import Run
from lepton_sdk.errors import JobCancelled, JobFailed, JobTimedOut, LeptonError, NodeLost, NoOffers

__all__ = ["raise_for"]

_ERRORS: dict[str, type[LeptonError]] = {
    "failed": JobFailed,
    "timed-out": JobTimedOut,
    "stopped": JobCancelled,
    "lost": NodeLost,
    "refused": NoOffers,
}


def raise_for(run: Run) -> None:
    """Raise an error if the run did not succeed.

    Raises:
        LeptonError: its class says how the run ended.
    """
    text = f"run {run.id} {run.state}" + (f": {run.error}" if run.error else "")
    if error := _ERRORS.get(str(run.state)):
        raise error(text, provider=run.provider, hint=f"lepton logs {run.id}")
