"""One time for all processes of a host that share a journal, even if somebody sets the wall clock."""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from lepton_sdk._clock import Anchor, SteadyClock
from lepton_sdk._journal.claims import Claims
from lepton_sdk._journal.store import Execute, this_host

__all__ = ["Times"]

_SET = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_OPEN = ("SELECT 1 FROM runs WHERE ended = 0 LIMIT 1", "SELECT 1 FROM nodes WHERE open = 1 LIMIT 1")
# The wall clock of a host with a time service drifts from the time since boot by less than this.
_SLACK_SECONDS = 1.0


class Times(Claims):
    """The journal's time on a host: an anchor in the journal, plus the time since boot."""

    def moved(self) -> float:
        """By how many seconds the wall clock is ahead of the journal's time; 0 while nothing is open."""
        clock = self._clock
        return clock.moved() if isinstance(clock, SteadyClock) and self._is_open(self._store.query) else 0.0

    def renew_time(self) -> None:
        """Before a run is planned: return to the wall clock if nothing is open, else use the time of the other processes."""
        if not isinstance(self._clock, SteadyClock) or not self._clock.boot:
            return
        self._sync(self._store.query)
        if abs(self._clock.moved()) > _SLACK_SECONDS and not self._is_open(self._store.query):
            with self._store.transaction() as execute:
                self._sync(execute)
                if abs(self._clock.moved()) > _SLACK_SECONDS and not self._is_open(execute):
                    self._anchor(execute, self._clock.fresh())

    def _go_by_one_time(self, *, writable: bool) -> None:
        """Use the anchor of this boot; the first process of a boot that may write creates it."""
        if not isinstance(self._clock, SteadyClock) or not self._clock.boot:
            return
        if not self._sync(self._store.query) and writable:
            with self._store.transaction() as execute:
                if not self._sync(execute):
                    self._anchor(execute, self._after_the_newest(execute, self._clock.fresh()))

    def _sync(self, execute: Execute) -> bool:
        """Use the anchor in the journal; return whether there is one."""
        clock = self._clock
        if not isinstance(clock, SteadyClock) or not clock.boot:
            return False
        rows = execute("SELECT value FROM meta WHERE name = ?", (self._anchor_name(clock),))
        anchor = Anchor.from_text(str(rows[0][0])) if rows else None
        if anchor is not None:
            clock.hold(anchor)
        return anchor is not None

    def _anchor(self, execute: Execute, anchor: Anchor) -> None:
        assert isinstance(self._clock, SteadyClock)
        # Anchors of earlier boots of this host are useless.
        execute("DELETE FROM meta WHERE name LIKE ?", (f"clock {this_host()} %",))
        execute(_SET, (self._anchor_name(self._clock), anchor.to_text()))
        self._clock.hold(anchor)

    def _after_the_newest(self, execute: Execute, anchor: Anchor) -> Anchor:
        """While something is open, time does not go back: a host may boot before its clock is set."""
        rows = execute("SELECT at FROM events ORDER BY seq DESC LIMIT 1") if self._is_open(execute) else []
        newest = datetime.fromisoformat(rows[0][0]) if rows else anchor.wall
        return evolve(anchor, wall=max(anchor.wall, newest))

    def _is_open(self, execute: Execute) -> bool:
        return any(execute(question) for question in _OPEN)

    @staticmethod
    def _anchor_name(clock: SteadyClock) -> str:
        return f"clock {this_host()} {clock.boot}"
