"""The runs that count for a cap over a period. A run is read again only after its record has changed."""

from __future__ import annotations

from datetime import datetime, timedelta

from lepton_sdk._journal.rows import read_run
from lepton_sdk._journal.store import Execute, Row, Store
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.run import Run

__all__ = ["Spending", "rented_at"]

# SQLite's limit of variables in one statement.
_AT_ONCE = 500
# One step per provider in the index, and two lookups at each: ten thousand open nodes cost no more than one.
_RENTED = """
WITH RECURSIVE found(name) AS (
    SELECT min(provider) FROM nodes WHERE open = 1
    UNION ALL
    SELECT (SELECT min(provider) FROM nodes WHERE open = 1 AND provider > found.name) FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE EXISTS (SELECT 1 FROM nodes WHERE open = 1 AND provider = name AND price IS NULL)
    OR EXISTS (SELECT 1 FROM nodes WHERE open = 1 AND provider = name AND price > '0' AND CAST(price AS REAL) > 0)
"""


def rented_at(execute: Execute) -> tuple[str, ...]:
    """The providers with an open node that is billed, or may be."""
    return tuple(str(row[0]) for row in execute(_RENTED))


class Spending:
    """Caches runs by the checksum of their record: two thousand runs check the cap two thousand times."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[str, Run]] = {}

    def runs(self, execute: Execute, now: datetime, period: int) -> list[Run]:
        """Runs that began within the last ``period`` seconds, and those that have not ended."""
        # An id begins with its time, so a period is a range of ids.
        since = new_id(now - timedelta(seconds=period), bytes(6))
        rows = execute("SELECT id, checksum FROM runs WHERE ended = 0 OR id >= ?", (since,))
        changed = [str(row[0]) for row in rows if self._known.get(row[0], ("",))[0] != row[1]]
        fresh = {row[0]: (row[2], read_run(self._store, row)) for row in self._read(execute, changed)}
        self._known = {row[0]: fresh.get(row[0]) or self._known[row[0]] for row in rows}
        return [run for _, run in self._known.values()]

    def _read(self, execute: Execute, ids: list[str]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = ", ".join("?" for _ in some)
            found += execute(f"SELECT id, record, checksum FROM runs WHERE id IN ({marks})", tuple(some))  # noqa: S608 - marks
        return found
