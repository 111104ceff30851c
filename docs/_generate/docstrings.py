"""Our docstrings as Markdown: sections as lists, examples as code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

__all__ = ["arguments", "markdown", "summary"]

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns):")
_ITEM = re.compile(r"([\w*, .]+?): (.*)")


def summary(text: str | None) -> str:
    """The first paragraph on one line."""
    return " ".join(cleandoc(text or "").partition("\n\n")[0].split())


def arguments(text: str | None) -> dict[str, str]:
    """Name → words, of the sections Args and Attributes."""
    found: dict[str, str] = {}
    for name, lines in _sections(cleandoc(text or "")):
        if name in ("Args", "Attributes"):
            for names, words in _items(lines):
                found |= dict.fromkeys(names.split(", "), words)
    return found


def markdown(text: str | None, *, without: tuple[str, ...] = ()) -> str:
    """The docstring, except the sections that are named."""
    parts = []
    for name, lines in _sections(cleandoc(text or "")):
        if name == "":
            parts.append(_prose(lines))
        elif name not in without:
            items = list(_items(lines))
            listed = [f"- `{names}`: {words}" for names, words in items] or [" ".join(" ".join(lines).split())]
            parts.append("\n".join([f"**{name}**", "", *listed]))
    return "\n\n".join(part for part in parts if part.strip())


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Runs of lines: prose under the empty name, and what is indented below ``Args:`` and the like."""
    name, lines = "", list[str]()
    for line in text.splitlines():
        if match := _SECTION.fullmatch(line):
            yield name, lines
            name, lines = match[1], []
        elif name and line and not line.startswith(" "):
            yield name, lines
            name, lines = "", [line]
        else:
            lines.append(line)
    yield name, lines


def _items(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Items such as ``name: words``, with their continuation lines."""
    item: list[str] = []
    for line in [*lines, "    end: "]:
        if line.startswith("    ") and not line.startswith("     "):
            if item and (match := _ITEM.fullmatch(" ".join(item))):
                yield match[1], match[2]
            item = [line.strip()]
        elif line.strip():
            item.append(line.strip())


def _prose(lines: list[str]) -> str:
    out: list[str] = []
    kind = ""
    for line in lines:
        now = "pycon" if line.startswith(">>>") or (kind == "pycon" and line) else ""
        if (not now and line.startswith("    ")) or (kind == "text" and not line):
            now = "text"
        if now != kind:
            out += (["```", ""] if kind else []) + ([f"```{now}"] if now else [])
            kind = now
        out.append(line.removeprefix("    ") if now == "text" else line.removesuffix("::") if line == "::" else line)
    return "\n".join(out + (["```"] if kind else []))
