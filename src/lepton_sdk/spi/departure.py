"""Whether a create call has left this host: what tells a bug that made nothing from an answer that was lost.

The engine sets a `Departure` around each ``acquire`` and ``acquire_group``. ``context.http`` notes in it each changing request
right before it goes to the network, and takes the note back where it certainly did not go. A plugin that creates by other means
calls ``launch.leaving()`` at that moment, and says so by the flag ``marks_leaving`` of its spec.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock

from lepton_sdk.errors import LeptonError

__all__ = ["DEPARTURE", "Departure", "Withdrawn"]


class Withdrawn(LeptonError):
    """The create call was taken back before it left: nothing was made."""


class Departure:
    """What is known of one create call. Any thread may note and ask.

    Args:
        tracked: whether somebody notes when it leaves. Without that it counts as left from the beginning.
    """

    def __init__(self, *, tracked: Callable[[], bool] = lambda: True) -> None:
        self._lock = Lock()
        self._tracked = tracked
        self._out: set[object] = set()
        self._marked = False
        self._withdrawn = False
        self._cancel: Callable[[], object] | None = None

    @property
    def left(self) -> bool:
        """Whether the call has left, as far as anybody can know."""
        with self._lock:
            return self._gone

    @property
    def withdrawn(self) -> bool:
        """Whether it was taken back in time."""
        return self._withdrawn

    @property
    def _gone(self) -> bool:
        return not self._tracked() or self._marked or bool(self._out)

    def mark(self) -> None:
        """The call leaves now: ``launch.leaving``.

        Raises:
            Withdrawn: it was taken back before.
        """
        with self._lock:
            self._refuse()
            self._marked = True

    def out(self, request: object) -> None:
        """A changing request goes to the network now.

        Raises:
            Withdrawn: the call was taken back before.
        """
        with self._lock:
            self._refuse()
            self._out.add(request)

    def back(self, request: object) -> None:
        """It certainly did not go."""
        with self._lock:
            self._out.discard(request)

    def withdraw(self) -> bool:
        """Take the call back, if it has not left: it never will.

        Returns:
            Whether it was in time. What waits in the call is cancelled then.
        """
        with self._lock:
            if self._gone:
                return False
            self._withdrawn = True
        if self._cancel is not None:
            self._cancel()
        return True

    def cancelled_by(self, cancel: Callable[[], object]) -> None:
        """What ends the call when it is taken back; at once where it was already."""
        self._cancel = cancel
        if self._withdrawn:
            cancel()

    def _refuse(self) -> None:
        if self._withdrawn:
            raise Withdrawn("the create call was taken back before it left")


# The create call that the code which runs now belongs to.
DEPARTURE: ContextVar[Departure | None] = ContextVar("lepton_sdk_departure", default=None)
