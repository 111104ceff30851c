"""Pictures that are made of the code's own tables: the layers, and the chart of a node's stages."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from lepton_sdk.domain.stage import chart

__all__ = ["layer_picture", "stage_picture"]

_ROOT = Path(__file__).parents[2]
_SOURCE = _ROOT / "src" / "lepton_sdk"
# The size of a box, the distance from one to the next, and how far an arrow reaches out for each box that it passes.
_BOX_WIDTH, _BOX_HEIGHT, _APART, _OUT = 120, 26, 46, 24
_LEFT = 190


def layer_picture() -> str:
    """The layers as the linter holds them, from the top down, each with the first sentence of its docstring."""
    contracts = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = ["| layer | what it is |", "|---|---|"]
    for line in lines:
        names = [name.strip() for name in line.split("|")]
        rows.append(f"| {'<br>'.join(f'`{name}`' for name in names)} | {'<br>'.join(map(_sentence, names))} |")
    return "\n".join(rows)


def _sentence(name: str) -> str:
    """The first sentence of a module's or a package's docstring."""
    file = _SOURCE / f"{name}.py"
    text = ast.get_docstring(ast.parse((file if file.exists() else _SOURCE / name / "__init__.py").read_text(encoding="utf-8")))
    first = " ".join((text or "").split("\n\n")[0].split())
    return re.sub(r"``?([^`]+)``?", r"`\1`", first).replace("|", "\\|")


def stage_picture() -> str:
    """`lepton_sdk.domain.stage.chart` as a drawing: steps forward on the right, steps back on the left."""
    steps = [(before, after) for before, after in re.findall(r"^ +(\S+) --> (\S+)$", chart(), re.MULTILINE)]
    names = list(dict.fromkeys(name for step in steps for name in step if name != "[*]"))
    places = {name: place for place, name in enumerate(names)} | {"[*]": -1}
    arrows = [_arrow(places[before], len(names) if after == "[*]" else places[after]) for before, after in steps]
    boxes = [_box(name, places[name]) for name in names]
    ends = [_dot(-1), _dot(len(names))]
    height = _middle(len(names)) + 16
    head = (
        f'<div><svg viewBox="0 0 {2 * _LEFT + _BOX_WIDTH} {height}" width="{2 * _LEFT + _BOX_WIDTH}" role="img" '
        'aria-label="The legal steps of a node" style="max-width:100%;color:inherit" font-size="13" font-family="inherit">'
    )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'
    )
    return "".join((head, tip, *arrows, *boxes, *ends, "</svg></div>"))


def _middle(place: int) -> int:
    return 20 + (place + 1) * _APART


def _box(name: str, place: int) -> str:
    top, middle = _middle(place) - _BOX_HEIGHT // 2, _LEFT + _BOX_WIDTH // 2
    return (
        f'<rect x="{_LEFT}" y="{top}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5" fill="none" stroke="currentColor"/>'
        f'<text x="{middle}" y="{top + 17}" text-anchor="middle" fill="currentColor">{name}</text>'
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
