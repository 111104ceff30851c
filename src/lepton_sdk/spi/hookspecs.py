"""Hooks for observers, called through pluggy. None of them runs once per offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pluggy

from lepton_sdk.domain.job import Job

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("lepton_sdk")
hookimpl = pluggy.HookimplMarker("lepton_sdk")


@hookspec
def filter_offers(job: Job) -> Mapping[str, object] | None:
    """Column predicates that every offer must meet, for example ``{"regions": ["north-1"], "providers": ["acme"]}``.

    Returns:
        Keys of `lepton_sdk.domain.resources.Resources` that narrow the job's own, or ``None``.
    """


@hookspec
def rescore(job: Job, candidates: Sequence[Mapping[str, object]]) -> Sequence[float] | None:
    """New scores for the best candidates (200 at most), lowest wins, one for each; or ``None`` to leave them."""


@hookspec
def on_transition(event: Mapping[str, object]) -> None:
    """An entry was written to the journal: ``kind``, ``run``, ``token``, ``at`` and the entry's own keys."""


@hookspec
def redact(text: str) -> str | None:
    """A text for a log or an error, without what must not be seen; ``None`` to leave it as it is."""
