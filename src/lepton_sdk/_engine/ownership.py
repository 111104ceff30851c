"""Give a journal a new owner, after the user has made sure that nobody else acts from its history."""

from __future__ import annotations

from lepton_sdk._engine.doctor import state_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.lost_journals import begin_anew, trouble
from lepton_sdk.domain.events import StopRequested

__all__ = ["adopt", "new_state"]


def adopt(engine: Engine) -> dict[str, object]:
    """Make the journal this place's own; its state after that.

    Two clients that act on one history release each other's machines. After a roll-back the journal's open runs are stopped:
    nobody knows what became of them since.
    """
    if trouble(engine) is not None:
        return new_state(engine)
    if not engine.has_journal():
        return state_of(engine)
    journal = engine.journal
    rolled_back = journal.frozen is not None and not journal.is_foreign
    open_runs = map(journal.run, journal.open_runs()) if rolled_back else ()
    now = engine.clock.now()
    journal.adopt(*(StopRequested().stamped(run.id, now) for run in open_runs if not run.stop_requested))
    return state_of(engine)


def new_state(engine: Engine) -> dict[str, object]:
    """Begin a new journal where one was lost; its state, and the path of the rest of the old one (``kept``).

    The new journal takes over the owner names of the lost ones, so that reconcile lists their machines as its own strays.
    """
    kept = begin_anew(engine)
    return state_of(engine) | ({"kept": kept} if kept else {})
