"""What can go wrong between a client and the double, once or several times, on request."""

from __future__ import annotations

from typing import Any

from attrs import define

__all__ = ["AFTER", "KINDS", "Fault", "Faults"]

KINDS = {
    "reset-before": "the connection is reset before anything happened",
    "reset-after": "it happens, then the connection is reset",
    "half-body": "it happens, and half of the answer comes back",
    "status": "nothing happens; the answer is `status` with `code`",
    "status-after": "it happens; the answer is `status` with `code`",
    "late": "the answer is 504, and it happens after `seconds`",
    "slow": "the answer comes after `seconds`",
    "html": "nothing happens; a proxy answers `status` with a page",
    "wrong-json": "it happens; the answer is JSON of another shape",
    "no-json": "it happens; the answer is not JSON",
}
# Those of which a careful client cannot know that nothing happened.
AFTER = frozenset({"reset-after", "half-body", "status-after", "late", "wrong-json", "no-json"})


@define
class Fault:
    """A fault and the requests that it waits for.

    Attributes:
        method, path: empty for all; a path is matched from its start, without ``/api/v1``.
        times: how often.
    """

    kind: str
    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 503
    code: str = "global/internal-error"
    seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not one of {', '.join(KINDS)}")


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, **fields: Any) -> None:
        """Wait for a request."""
        self._waiting.append(Fault(**fields))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request."""
        for fault in self._waiting:
            if fault.method in ("", method) and path.startswith(fault.path):
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
