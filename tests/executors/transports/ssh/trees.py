"""Trees of files for what is sent to a node: making them, and looking at what arrived."""

# Names that are no text stay bytes here.
# ruff: noqa: PTH101, PTH102, PTH115, PTH118

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from lepton_sdk._executors.workdir.copy import copy_workdir, remove_tree

__all__ = ["NAMES", "copied", "make", "settled", "tree"]

NAMES = st.binary(min_size=1, max_size=120).filter(
    lambda name: not set(name) & {0, 47} and name not in {b".", b"..", b".git", b".gitignore", b".leptonignore"}
)


def tree(folder: Path) -> dict[bytes, tuple[str, int, bytes]]:
    """Path → kind, mode and content (or target) of everything below a folder."""
    found = {}
    for place, folders, files in os.walk(os.fsencode(folder)):
        for name in folders + files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                entry = ("link", 0, os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                entry = ("folder", stat.S_IMODE(status.st_mode), b"")
            else:
                with open(path, "rb") as file:
                    entry = ("file", stat.S_IMODE(status.st_mode), file.read())
            found[os.path.relpath(path, os.fsencode(folder))] = entry
    return found


@contextmanager
def copied(place: Path, entries: dict[bytes, Any]) -> Iterator[tuple[Path, Path]]:
    """A tree, and the copy of it that a run on this host would get; both are gone afterwards."""
    source, copy = place / "versions", place / "versions-copy"
    try:
        make(os.fsencode(source), entries)
        copy_workdir(source, copy)
        yield source, copy
    finally:
        remove_tree(source)
        remove_tree(copy)


def settled(host: Any) -> bool:
    """Whether nothing is being made any more for runs to come."""
    return not list((host.runs.parent / "spares").glob(".*"))


def make(folder: bytes, entries: dict[bytes, Any], mode: int = 0o700) -> None:
    os.mkdir(folder)
    for name, (inner_mode, content) in entries.items():
        path = os.path.join(folder, name)
        if isinstance(content, dict):
            make(path, content, inner_mode)
        else:
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, inner_mode)
    os.chmod(folder, mode)
