"""Faults between a client and a double, once or several times, on request."""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field

__all__ = ["HAPPENS", "KINDS", "Fault", "Faults"]

KINDS = {
    "reset-before": "the connection is reset before anything happened",
    "reset-after": "it happens, then the connection is reset",
    "half-body": "it happens, and half of the answer comes back",
    "silent-before": "nothing happens, and no answer comes for `seconds` (0: for as long as the client waits)",
    "silent-after": "it happens, and no answer comes for `seconds` (0: for as long as the client waits)",
    "slow": "it happens, and the answer comes after `seconds`",
    "late": "the answer is 504, and it happens after `seconds`",
    "status": "nothing happens; the answer is `status` with `code`",
    "status-after": "it happens; the answer is `status` with `code`",
    "html": "nothing happens; a proxy answers `status` with a page",
    "html-after": "it happens; a proxy answers 200 with a page",
    "wrong-json": "it happens; the answer is JSON of another shape",
    "no-json": "it happens; the answer is cut off in the middle of the JSON",
}
# The kinds in which the request takes effect, at once or late.
HAPPENS = frozenset({name for name, words in KINDS.items() if words.startswith("it happens")} | {"late"})


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None


@define
class Fault:
    """A fault and the requests that it waits for.

    Attributes:
        kind: one of `KINDS`.
        match: a regular expression to search in ``METHOD /path?query``; empty for every request.
        after: the same, for a request that must have come before.
        times: how many requests.
        status, code: of the answer, if the kind has one; ``code`` is the vendor's word, empty for the double's default.
        seconds: the duration, for kinds that take time.
    """

    kind: str
    match: re.Pattern[str] = field(default="", converter=_pattern)
    after: re.Pattern[str] = field(default="", converter=_pattern)
    times: int = 1
    status: int = 503
    code: str = ""
    seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not one of {', '.join(KINDS)}")


class Faults:
    """The pending faults.

    >>> faults = Faults()
    >>> faults.add(kind="reset-after", match="POST .*/machines$")
    >>> [fault and fault.kind for fault in map(faults.take, ["GET /v1/machines", "POST /v1/machines", "POST /v1/machines"])]
    [None, 'reset-after', None]
    """

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._seen: list[str] = []

    def add(self, **fields: Any) -> None:
        """Add a fault; the arguments are the fields of `Fault`.

        Raises:
            ValueError: the kind or an expression is wrong.
            TypeError: a field is unknown.
        """
        self._waiting.append(Fault(**fields))

    def clear(self) -> None:
        """Remove all faults."""
        self._waiting.clear()

    def take(self, line: str) -> Fault | None:
        """The fault for this request (``METHOD /path?query``); counts the request."""
        found = next((fault for fault in self._waiting if fault.match.search(line) and self._came(fault.after)), None)
        self._seen.append(line)
        if found is not None:
            found.times -= 1
            if found.times <= 0:
                self._waiting.remove(found)
        return found

    def _came(self, before: re.Pattern[str]) -> bool:
        return not before.pattern or any(map(before.search, self._seen))
