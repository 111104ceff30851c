"""Whether a create call has left this host. This tells a bug that created nothing from a lost answer.

The engine sets a `Departure` around each ``acquire`` and ``acquire_group``. ``context.http`` marks it right before each changing
request goes to the network, and removes the mark if the request certainly did not go. A plugin that creates by other means
calls ``launch.leaving()`` at that moment, and declares the flag ``marks_leaving`` in its spec.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock

from lepton_sdk.errors import LeptonError

__all__ = ["DEPARTURE", "Departure", "Withdrawn"]


class Withdrawn(LeptonError):
    """The create call was withdrawn before it left: nothing was created."""


class Departure:
    """What is known about one create call. Thread-safe.

    Args:
        tracked: whether somebody marks when it leaves. If nobody does, it counts as left from the beginning.
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
        """Whether the call has left, or may have."""
        with self._lock:
            return self._gone

    @property
    def withdrawn(self) -> bool:
        """Whether it was withdrawn in time."""
        return self._withdrawn

    @property
    def _gone(self) -> bool:
        return not self._tracked() or self._marked or bool(self._out)

    def mark(self) -> None:
        """The call leaves now: ``launch.leaving``.

        Raises:
            Withdrawn: the call was withdrawn before.
        """
        with self._lock:
            self._refuse()
            self._marked = True

    def out(self, request: object) -> None:
        """A changing request goes to the network now.

        Raises:
            Withdrawn: the call was withdrawn before.
        """
        with self._lock:
            self._refuse()
            self._out.add(request)

    def back(self, request: object) -> None:
        """The request certainly did not go: remove its mark."""
        with self._lock:
            self._out.discard(request)

    def withdraw(self) -> bool:
        """Withdraw the call, if it has not left. It never leaves then.

        Returns:
            Whether it was in time. If so, code that waits inside the call is cancelled.
        """
        with self._lock:
            if self._gone:
                return False
            self._withdrawn = True
        if self._cancel is not None:
            self._cancel()
        return True

    def cancelled_by(self, cancel: Callable[[], object]) -> None:
        """Set the function that ends the call when it is withdrawn. Called at once if it already was."""
        self._cancel = cancel
        if self._withdrawn:
            cancel()

    def _refuse(self) -> None:
        if self._withdrawn:
            raise Withdrawn("the create call was taken back before it left")


# The create call of the code that runs now.
DEPARTURE: ContextVar[Departure | None] = ContextVar("lepton_sdk_departure", default=None)
