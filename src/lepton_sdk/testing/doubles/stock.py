"""What a double has left to rent out, and what its listing says of that."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Stock"]

Place = tuple[str, str]


class Stock:
    """Machines that are left, by type and region.

    Args:
        rows: ``(type, region)`` → how many.

    >>> stock = Stock({("small", "north"): 1})
    >>> stock.take("small", "north"), stock.take("small", "north")
    (True, False)
    >>> stock.promise("small", "north", 3)
    >>> stock.left("small", "north"), stock.listed("small", "north")
    (0, 3)
    """

    def __init__(self, rows: Mapping[Place, int] | None = None) -> None:
        self._left = dict(rows or {})
        self._promised: dict[Place, int] = {}

    def sells(self, kind: str, region: str) -> bool:
        """Whether this type exists in this region, sold out or not."""
        return (kind, region) in self._left

    def left(self, kind: str, region: str) -> int:
        """How many can be taken."""
        return self._left.get((kind, region), 0)

    def listed(self, kind: str, region: str) -> int:
        """How many the listing shows: what was promised, else what is left."""
        return self._promised.get((kind, region), self.left(kind, region))

    def places(self) -> list[Place]:
        """Every ``(type, region)``, sorted."""
        return sorted({**self._left, **self._promised})

    def take(self, kind: str, region: str) -> bool:
        """Take one; false where none is left."""
        if self.left(kind, region) < 1:
            return False
        self._left[kind, region] -= 1
        return True

    def give_back(self, kind: str, region: str) -> None:
        """One more is left."""
        self._left[kind, region] = self.left(kind, region) + 1

    def put(self, kind: str, region: str, left: int) -> None:
        """Set how many are left."""
        self._left[kind, region] = left

    def promise(self, kind: str, region: str, left: int) -> None:
        """Set what the listing shows, whatever is left: a promise that a launch may break."""
        self._promised[kind, region] = left
