"""Text for people: aligned columns. The router's tables and the command line's share it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

__all__ = ["aligned"]


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[str] = ()) -> list[str]:
    """One line for the head and for each row, with columns as wide as their widest cell.

    Args:
        right: heads of the columns of numbers, which are aligned to the right.
    """
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    text = []
    for line in lines:
        cells = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(line, widths, head, strict=True)
        )
        text.append("  ".join(cells).rstrip())
    return text
