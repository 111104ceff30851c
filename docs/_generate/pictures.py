"""Pictures that are made of the code's own tables: the layers, and the chart of a node's stages."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from lepton_sdk.domain.stage import chart

__all__ = ["layer_picture", "layer_table", "stage_picture"]

_ROOT = Path(__file__).parents[2]
_SOURCE = _ROOT / "src" / "lepton_sdk"
# The size of a box, the distance from one to the next, and how far an arrow reaches out for each box that it passes.
_BOX_WIDTH, _BOX_HEIGHT, _APART, _OUT = 120, 26, 46, 24
_LEFT = 190
# The layers: the width of the drawing, and the distance from one row to the next.
_WIDTH, _ROW = 640, 32


def layer_picture() -> str:
    """The layers as the linter holds them, a row of boxes for each line."""
    lines = _layers()
    rows = [_row(names, 4 + place * _ROW) for place, names in enumerate(lines)]
    return _drawing("".join(rows), _WIDTH, len(lines) * _ROW + 4, "The layers: each row imports only from the rows below it")


def layer_table() -> str:
    """Each layer with the first sentence of its docstring."""
    rows = [f"| `{name}` | {_sentence(name)} |" for names in _layers() for name in names]
    return "\n".join(["| layer | what it is |", "|---|---|", *rows])


def _layers() -> list[list[str]]:
    contracts = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in line.split("|")] for line in lines]


def _row(names: list[str], top: int) -> str:
    width = (_WIDTH - 8) // len(names)
    return "".join(_box(name, 4 + place * width + 2, top, width - 4) for place, name in enumerate(names))


def _sentence(name: str) -> str:
    """The first sentence of a module's or a package's docstring."""
    file = _SOURCE / f"{name}.py"
    text = ast.get_docstring(ast.parse((file if file.exists() else _SOURCE / name / "__init__.py").read_text(encoding="utf-8")))
    first = " ".join((text or "").split("\n\n")[0].split())
    return re.sub(r"``?([^`]+)``?", r"`\1`", first).replace("|", "\\|")


def stage_picture() -> str:
    """`lepton_sdk.domain.stage.chart` as a drawing: steps forward on the right, steps back on the left."""
    steps = [(before, after) for before, after in re.findall(r"^ +(\S+) --> (\S+)$", chart(), re.MULTILINE)]
    # In the table's own order, which is that of a life.
    names = list(dict.fromkeys(before for before, _ in steps if before != "[*]"))
    places = {name: place for place, name in enumerate(names)} | {"[*]": -1}
    arrows = [_arrow(places[before], len(names) if after == "[*]" else places[after]) for before, after in steps]
    boxes = [_box(name, _LEFT, _middle(places[name]) - _BOX_HEIGHT // 2, _BOX_WIDTH) for name in names]
    ends = [_dot(-1), _dot(len(names))]
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'
    )
    parts = "".join((tip, *arrows, *boxes, *ends))
    return _drawing(parts, 2 * _LEFT + _BOX_WIDTH, _middle(len(names)) + 16, "The legal steps of a node")


def _drawing(parts: str, width: int, height: int, label: str) -> str:
    """A drawing in the page itself, in the page's own colour and letters; around it what Markdown leaves as it is."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" style="max-width:100%" font-size="13" font-family="inherit"'
    return f'<div><svg {size} role="img" aria-label="{label}">{parts}</svg></div>'


def _middle(place: int) -> int:
    return 20 + (place + 1) * _APART


def _box(name: str, left: int, top: int, width: int) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{_BOX_HEIGHT}" rx="5" fill="none" stroke="currentColor"/>'
        f'<text x="{left + width // 2}" y="{top + 17}" text-anchor="middle" fill="currentColor">{name}</text>'
    )


def _dot(place: int) -> str:
    return f'<circle cx="{_LEFT + _BOX_WIDTH // 2}" cy="{_middle(place)}" r="5" fill="currentColor"/>'


def _arrow(before: int, after: int) -> str:
    """To the next box straight down; to a later one around the right, to an earlier one around the left."""
    if after == before + 1:
        x = _LEFT + _BOX_WIDTH // 2
        line = f"M{x} {_middle(before) + (_BOX_HEIGHT // 2 if before >= 0 else 5)}V{_middle(after) - _BOX_HEIGHT // 2}"
    else:
        side, out = (_LEFT + _BOX_WIDTH, 1) if after > before else (_LEFT, -1)
        # Where one leaves and where one comes in are not the same point of a box.
        begin, end = _middle(before) + 5, _middle(after) - 5 if after > before else _middle(after) + 5
        reach = side + out * (_OUT * (abs(after - before) - 1) + 14)
        line = f"M{side} {begin}C{reach} {begin} {reach} {end} {side} {end}"
    return f'<path d="{line}" fill="none" stroke="currentColor" stroke-opacity="0.7" marker-end="url(#tip)"/>'
