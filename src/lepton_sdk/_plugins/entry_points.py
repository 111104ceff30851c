"""Installed entry points of our groups, read from the metadata files of distributions.

`importlib.metadata` answers the same question and costs about 35 ms to import, more than the rest of ``lepton --help``.
It is used only where distributions do not lie in plain folders: zip files, eggs, custom finders.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["EntryPoint", "entry_points", "normal_name", "plain_entry_points", "stdlib_entry_points"]

_PREFIX = "lepton_sdk."


class EntryPoint(NamedTuple):
    """One line of a distribution's ``entry_points.txt``; the distribution's name in its normal form."""

    group: str
    name: str
    value: str
    distribution: str
    version: str


class _Unusual(Exception):
    """A place on the path that only importlib.metadata can read."""


def entry_points() -> tuple[EntryPoint, ...]:
    """Entry points of all ``lepton_sdk.*`` groups of this environment, in the order of ``sys.path``."""
    # Custom finders offer distributions through this method; this module replaces the standard path finder.
    finders = [f for f in sys.meta_path if hasattr(f, "find_distributions")]
    if all(getattr(finder, "__name__", "") == "PathFinder" for finder in finders):
        try:
            return tuple(plain_entry_points(sys.path))
        except _Unusual:
            pass
    return tuple(stdlib_entry_points())


def plain_entry_points(path: Sequence[str]) -> Iterator[EntryPoint]:
    """The entry points in the folders of ``path`` alone. Of two distributions with one name the first wins, as on import."""
    seen: set[str] = set()
    for folder in dict.fromkeys(path):
        for name, version, metadata in _distributions(folder or "."):
            if name not in seen:
                seen.add(name)
                yield from _parse(_read(metadata), name, version)


def _distributions(folder: str) -> Iterator[tuple[str, str, str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info", ".egg"))]
    except NotADirectoryError:
        raise _Unusual from None
    except OSError:
        return
    for entry in found:
        if not entry.name.endswith(".dist-info"):
            raise _Unusual
        name, _, version = entry.name.removesuffix(".dist-info").partition("-")
        yield normal_name(name), version, f"{entry.path}/entry_points.txt"


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError:
        return ""
    return raw.decode(errors="replace") if _PREFIX.encode() in raw else ""


def _parse(text: str, distribution: str, version: str) -> Iterator[EntryPoint]:
    """Lines that make no sense are skipped: one bad file must not hide the plugins of others."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif group.startswith(_PREFIX) and line[:1] not in "#;" and "=" in line:
            name, _, value = line.partition("=")
            yield EntryPoint(group, name.strip(), value.partition("[")[0].strip(), distribution, version)


def normal_name(name: str) -> str:
    """A distribution's normalized name (PEP 503)."""
    text = name.lower().replace("_", "-").replace(".", "-")
    while "--" in text:
        text = text.replace("--", "-")
    return text


def stdlib_entry_points() -> Iterator[EntryPoint]:
    """The same, as `importlib.metadata` sees it."""
    from importlib.metadata import distributions

    seen: set[str] = set()
    for distribution in distributions():
        try:
            name = normal_name(distribution.metadata["Name"])
            found = _parse(distribution.read_text("entry_points.txt") or "", name, distribution.version)
        except Exception:  # noqa: S112 - a distribution without readable metadata is nobody's plugin
            continue
        if name not in seen:
            seen.add(name)
            yield from found
