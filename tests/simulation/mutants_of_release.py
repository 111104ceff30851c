"""Deliberate bugs in what stands between a wish to release and the release."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mutants import mutant
from schedule import DAY

from lepton_sdk._clock import Clock
from lepton_sdk._engine.calls import bounded
from lepton_sdk._engine.calls.hurry import Hurry
from lepton_sdk._engine.output import keep
from lepton_sdk._engine.runs import observe
from lepton_sdk._engine.tasks import Workers

__all__ = [
    "deaf_work_awaited",
    "kept_without_an_end",
    "limit_on_the_nodes_word",
    "nonsense_taken_for_silence",
    "one_class_of_errors_expected",
    "second_stop_unheard",
    "stop_cuts_nothing_short",
    "stop_waits_for_its_turn",
]


@mutant(finds="was never asked back|is still billed", where="liars")
def one_class_of_errors_expected(patch: pytest.MonkeyPatch) -> None:
    """What an executor raises is expected to be what its contract says."""

    async def ask_node(what: str, work: Any, seconds: float, clock: Clock, **_: Any) -> Any:
        return await bounded.bounded(work, seconds, clock)

    patch.setattr(observe, "ask_node", ask_node)


@mutant(finds="too late|was never asked back", where="liars")
def kept_without_an_end(patch: pytest.MonkeyPatch) -> None:
    """Log and outputs are fetched for as long as that takes."""

    async def ask_node(what: str, work: Any, seconds: float, clock: Clock, **_: Any) -> Any:
        return await bounded.ask_node(what, work, DAY, clock)

    patch.setattr(keep, "ask_node", ask_node)


@mutant(finds="was never asked back after limit", where="liars")
def limit_on_the_nodes_word(patch: pytest.MonkeyPatch) -> None:
    """A limit acts when the node says that it has acted."""
    patch.setattr(observe, "is_overdue", lambda *_: False)


@mutant(finds="after (stop|now): too late|was never asked back", where="liars")
def stop_waits_for_its_turn(patch: pytest.MonkeyPatch) -> None:
    """A look at the node that is under way ends before a stop is looked at."""
    patch.setattr(Workers, "break_off", lambda _: None)


@mutant(finds="too late|was never asked back", where="liars")
def deaf_work_awaited(patch: pytest.MonkeyPatch) -> None:
    """An executor that does not heed its cancellation is waited for."""

    async def finish(task: Any, _: Clock) -> None:
        task.cancel()
        await asyncio.wait([task])

    patch.setattr(bounded, "_end", finish)


@mutant(finds="after now: too late", where="liars")
def second_stop_unheard(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks again is told to wait as long as before."""
    honest = Hurry.stop
    patch.setattr(Hurry, "stop", lambda self, now=False: honest(self))


@mutant(finds="after (stop|now): too late", where="liars")
def stop_cuts_nothing_short(patch: pytest.MonkeyPatch) -> None:
    """A stop waits for log and outputs as the end of a job does."""
    patch.setattr(Hurry, "stop", lambda *_, **__: None)


@mutant(finds="was never asked back after nonsense|is still billed", where="liars")
def nonsense_taken_for_silence(patch: pytest.MonkeyPatch) -> None:
    """A node that answers and cannot be understood is waited for like one that is cut off."""
    patch.setattr(observe, "_is_past_hope", lambda *_: False)
