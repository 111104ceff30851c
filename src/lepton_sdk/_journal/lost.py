"""Lost journals: this host's marks show that one existed, and no new journal replaces it unless the user asks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lepton_sdk._journal.mark import Noted, noted_in
from lepton_sdk._journal.store import Place, key_of
from lepton_sdk.errors import JournalLost

__all__ = ["lost_at", "refuse_lost"]

_HINT = (
    "lepton nodes shows what is still billed, and lepton reconcile --release-strays gives it back; put the journal back from a "
    "backup, or begin a new one with lepton state new"
)


def lost_at(marks: Path | None, place: Place, known: Collection[str] = ()) -> list[Noted]:
    """The marks of journals that were at a place while something of them was rented.

    Args:
        known: the owners of the journal that is there now.
    """
    key = key_of(place)
    found = noted_in(marks) if marks is not None else ()
    return [one for one in found if one.place == key and one.rented and one.owner not in known]


def refuse_lost(marks: Path | None, place: Place, heir_of: Collection[str] = ()) -> None:
    """Raise if a journal was lost at the place where a new one is to be created.

    Raises:
        JournalLost: with what may still be billed.
    """
    if lost := lost_at(marks, place, heir_of):
        names = ", ".join(sorted({name for one in lost for name in one.rented}))
        raise JournalLost(
            f"the journal {key_of(place)} is gone or empty, and when it was last seen ({lost[0].at:%Y-%m-%d %H:%M} UTC) it had "
            f"machines at {names}, which may be billed still",
            hint=_HINT,
        )
