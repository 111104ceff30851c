"""Journals that were lost on this host: show what is still billed of them, and give it back on request. Begin with `lost_lines`.

Only machines of the journal that was at this same place, and is missing or damaged, are ever given back. Machines of other
journals on this host are only shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.report import Difference, HeldNode, node_line
from lepton_sdk._engine.providers import found, released
from lepton_sdk._journal import Mark, Noted, exists, key_of, lost_at, noted_in, put_aside
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.errors import (
    JournalCorrupt,
    JournalError,
    JournalLost,
    JournalUnreachable,
    JournalUnwritable,
    LeptonError,
    UsageError,
)

__all__ = ["begin_anew", "lost_lines", "lost_owners", "other_lines", "refuse_silence", "settle_marks", "trouble"]

_TAKE = "of a journal that is lost; give it back with lepton reconcile --release-strays"
# These journals are gone or cannot be read any more. One that only does not answer may be whole.
_GONE = (JournalLost, JournalCorrupt)


def trouble(engine: Engine) -> JournalError | None:
    """Why there is no journal to ask, if one was lost; ``None`` if there is one, or never was."""
    try:
        # Opening raises an error for a journal that is gone, and then makes no new one.
        if engine.opened or exists(engine.journal_place) or lost_owners(engine):
            engine.open()
    except _GONE as error:
        return error
    except JournalUnreachable:
        if lost_owners(engine):
            return _dropped(engine)
        raise
    except JournalUnwritable as error:
        place = engine.journal_place
        if isinstance(place, Path) and place.is_dir() and lost_owners(engine):
            return error
        raise
    return None


def _dropped(engine: Engine) -> JournalError:
    """Why a database does not answer: if it was dropped, it is gone; otherwise nobody knows.

    Raises:
        JournalUnreachable: the database may be whole.
    """
    try:
        engine.open()
    except JournalLost as error:
        return error
    raise JournalError(f"the journal {engine.journal_name} answered once and not the other time", hint="ask again")


def lost_owners(engine: Engine) -> list[Noted]:
    """The journals that were at our place, are gone from there, and had something that is billed."""
    try:
        known: Sequence[str] = engine.journal.owners if engine.opened else ()
    except JournalError:
        known = ()
    return lost_at(engine.marks, engine.journal_place, known)


async def lost_lines(engine: Engine, *, release: bool = False) -> tuple[list[HeldNode], list[tuple[str, str]]]:
    """A line for each machine of a journal that was lost at our place, and the providers that could not be asked.

    Args:
        release: give each machine back.
    """
    lines: list[HeldNode] = []
    unasked: list[tuple[str, str]] = []
    for one in lost_owners(engine):
        there, silent = await _found(engine, one)
        unasked += silent
        lines += [await _line(engine, node, release=release) for node in there]
        if not there and not silent:
            settle_marks(engine, [one])
    return lines, unasked


def refuse_silence(engine: Engine, why: JournalError) -> None:
    """Tell the user why there is no journal to ask, or raise that error if no lost journal is known either."""
    if not lost_owners(engine):
        raise why
    engine.say(f"{why.message}; next: {why.hint}" if why.hint else why.message)


async def other_lines(engine: Engine) -> list[HeldNode]:
    """A line for each machine of another journal of this host that had machines when it was last seen."""
    key, lines, now = key_of(engine.journal_place), [], engine.clock.now()
    for one in noted_in(engine.marks):
        if one.rented and one.place and one.place != key:
            there, _ = await _found(engine, one)
            lines += [node_line(node, now, Difference.OTHER, _elsewhere(one)) for node in there]
    return lines


def _elsewhere(one: Noted) -> str:
    path = Path(one.place)
    if one.place.startswith("postgresql:") or path.exists():
        return f"shown; it belongs to the journal {one.place}"
    again = f"LEPTON_SDK_STATE={path.parent} lepton reconcile --release-strays"
    return f"shown; its journal {one.place} is missing; give it back with {again}"


def settle_marks(engine: Engine, marks: Sequence[Noted]) -> None:
    """Forget these journals once nothing can turn up late: nothing of them is listed any more."""
    for one in marks:
        timings = [engine.spec(name).timings for name in one.rented]
        late = max((t.create_horizon + t.listing_lag for t in timings), default=0.0)
        if one.at + timedelta(seconds=late) < engine.clock.now():
            Mark(engine.marks, one.owner).settle()


async def _found(engine: Engine, one: Noted) -> tuple[list[Node], list[tuple[str, str]]]:
    """What providers list of a lost journal, and the providers that could not be asked."""
    there: list[Node] = []
    unasked: list[tuple[str, str]] = []
    for name in one.rented:
        try:
            listed = await found(engine, name, one.owner)
        except LeptonError as error:
            unasked.append((name, str(error)))
        else:
            there += [node for node in listed if node.owner == one.owner and node.state is not NodeState.GONE]
    return there, unasked


async def _line(engine: Engine, node: Node, *, release: bool) -> HeldNode:
    action = _TAKE
    if release:
        try:
            node = await released(engine, node)
            action = "released" if node.state is NodeState.GONE else "being released"
        except LeptonError as error:
            action = f"release failed: {words_of(error)}"
    return node_line(node, engine.clock.now(), Difference.LOST, action)


def begin_anew(engine: Engine) -> str | None:
    """Begin a new journal, and keep the rest of the old one beside it. Returns its path, ``None`` if nothing was left.

    Raises:
        UsageError: the journal at this place is whole and has open runs.
    """
    whole = trouble(engine) is None
    lost = lost_owners(engine)
    owners = tuple(one.owner for one in lost)
    if whole and engine.has_journal():
        if engine.journal.runs(open_only=True):
            raise UsageError(
                f"the journal {engine.journal_name} holds, and has runs that are open",
                hint="end them with lepton stop; to leave them to it, name another place in LEPTON_SDK_STATE",
            )
        owners = (*owners, *engine.journal.owners)
        engine.close_journal()
    kept = put_aside(engine.journal_place)
    engine.open_heir(owners)
    return kept
