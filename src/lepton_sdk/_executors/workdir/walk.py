"""Which files and folders of a workdir belong to a job, and what is refused in one."""

# Ten thousand files should take a second, so paths stay text.
# ruff: noqa: PTH109, PTH111, PTH112, PTH115, PTH116, PTH118, PTH120

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lepton_sdk._executors.workdir.ignore import Rules
from lepton_sdk.errors import JobSpecError

__all__ = ["check_workdir", "unreadable", "walk_workdir", "workdir_root"]

_EFFECTIVE = os.access in os.supports_effective_ids


def check_workdir(path: str | Path) -> None:
    """Everything that copying would refuse, without a copy.

    Raises:
        JobSpecError: the folder is missing or no folder, a file in it cannot be read, or a link leaves the tree.
    """
    for entry, _ in walk_workdir(path):
        if entry.is_file(follow_symlinks=False) and not os.access(entry.path, os.R_OK, effective_ids=_EFFECTIVE):
            raise unreadable(entry.path)


def workdir_root(path: str | Path) -> str:
    """The folder that a job names, without links on the way to it.

    Raises:
        JobSpecError: it is missing or no folder.
    """
    root = os.path.expanduser(path)
    if not os.path.lexists(root):
        raise JobSpecError(f"workdir: {str(path)!r} does not exist", hint=f"seen from {os.getcwd()!r}")
    if not os.path.isdir(root):
        raise JobSpecError(f"workdir: {str(path)!r} is not a folder", hint="name the folder that the file is in")
    return os.path.realpath(root)


def walk_workdir(source: str | Path, *, without: Sequence[Path] = ()) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Each entry that belongs to a job, folders before what is in them, with its path inside the tree.

    Args:
        without: folders of our own, which are not entered.

    Raises:
        JobSpecError: as `check_workdir`, when it comes to the entry that is refused.
    """
    root = workdir_root(source)
    skipped = {_identity(path) for path in without} - {None}
    todo = [("", Rules.above(root))]
    while todo:
        inner, rules = todo.pop()
        entries = _scan(os.path.join(root, inner))
        rules = rules.enter(root, inner, {entry.name for entry in entries})
        for entry in entries:
            path = f"{inner}/{entry.name}" if inner else entry.name
            folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or rules.ignore(path, folder) or (folder and skipped and _identity(entry.path) in skipped):
                continue
            if entry.is_symlink():
                _check_link(root, path)
            if folder:
                todo.append((path, rules))
            yield entry, path


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except PermissionError:
        raise unreadable(folder) from None


def _identity(path: str | Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_link(root: str, path: str) -> None:
    """A link is copied as it is, so every step it takes must stay inside the tree, in its text and in fact."""
    target = os.readlink(os.path.join(root, path))
    folder = os.path.dirname(path)
    lexical = os.path.normpath(os.path.join(folder, target))
    real = os.path.realpath(os.path.join(root, folder, target))
    inside = real == root or real.startswith(os.path.join(root, ""))
    if target.startswith("/") or lexical == ".." or lexical.startswith("../") or not inside:
        raise JobSpecError(
            f"workdir: the link {path!r} leaves {root!r}: it points to {target!r}",
            hint="copy what it points to, make it relative to a place inside, or name it in .leptonignore",
        )


def unreadable(path: str) -> JobSpecError:
    """The error for a file or folder that we may not read."""
    return JobSpecError(f"workdir: {path!r} cannot be read", hint="change its permissions, or name it in .leptonignore")
