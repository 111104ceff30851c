"""A double's stock, and what its listing shows of it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Stock"]

Place = tuple[str, str]


class Stock:
    """The available machines, by type and region.

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
        """How many are available."""
        return self._left.get((kind, region), 0)

    def listed(self, kind: str, region: str) -> int:
        """How many the listing shows: the promised number, else the available one."""
        return self._promised.get((kind, region), self.left(kind, region))

    def places(self) -> list[Place]:
        """Every ``(type, region)``, sorted."""
        return sorted({**self._left, **self._promised})

    def take(self, kind: str, region: str) -> bool:
        """Take one; false if none is available."""
        if self.left(kind, region) < 1:
            return False
        self._left[kind, region] -= 1
        return True

    def give_back(self, kind: str, region: str) -> None:
        """Put one back."""
        self._left[kind, region] = self.left(kind, region) + 1

    def put(self, kind: str, region: str, left: int) -> None:
        """Set how many are available."""
        self._left[kind, region] = left

    def promise(self, kind: str, region: str, left: int) -> None:
        """Set what the listing shows, independent of the stock: a promise that a launch may break."""
        self._promised[kind, region] = left
