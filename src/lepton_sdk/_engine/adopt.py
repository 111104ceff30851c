"""Giving a journal a new owner, once somebody has made sure that nobody else acts from its history."""

from __future__ import annotations

from lepton_sdk._engine.doctor import state_of
from lepton_sdk._engine.follower import request_stop
from lepton_sdk._engine.session import Session

__all__ = ["adopt"]


def adopt(session: Session) -> dict[str, object]:
    """Make the journal this place's own, and say what it is then.

    Two that act on one history release each other's machines. After a roll-back its open runs are stopped: what became of
    them since is lost.
    """
    if not session.has_journal():
        return state_of(session)
    journal = session.journal
    rolled_back = journal.frozen is not None and not journal.is_foreign
    journal.adopt()
    for run_id in journal.open_runs() if rolled_back else ():
        request_stop(session, run_id)
    return state_of(session)
