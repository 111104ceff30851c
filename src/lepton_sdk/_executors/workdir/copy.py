"""A fresh copy of a job's folder for each run: what the ignore rules leave, with links and modes, and nothing else."""

# Ten thousand files should take a second, so paths stay text.
# ruff: noqa: PTH101, PTH102, PTH108, PTH109, PTH111, PTH112, PTH114, PTH115, PTH116, PTH118, PTH120, PTH211

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from lepton_sdk._executors.workdir.ignore import Rules
from lepton_sdk.errors import JobCancelled, JobSpecError

__all__ = ["check_workdir", "copy_workdir", "remove_tree", "unreadable", "walk_workdir", "workdir_root"]

_BLOCK = 1 << 17
_EFFECTIVE = os.access in os.supports_effective_ids
# copy_file_range(2) refuses with these where the two file systems cannot do it; plain reading and writing then can.
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_workdir(path: str | Path) -> None:
    """Everything that copying would refuse, without a copy.

    Raises:
        JobSpecError: the folder is missing or no folder, a file in it cannot be read, or a link leaves the tree.
    """
    for entry, _ in _walk(workdir_root(path)):
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


def walk_workdir(source: str | Path, *, without: Path | None = None) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Each entry that belongs to a job, folders before what is in them, with its path inside the tree.

    Raises:
        JobSpecError: as `check_workdir`, when it comes to the entry that is refused.
    """
    return _walk(workdir_root(source), without)


def copy_workdir(
    source: str | Path | None,
    target: Path,
    *,
    without: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Copy what belongs to a job into ``target``, which must not exist.

    Left out: what ``.gitignore`` and ``.leptonignore`` files name (the latter win), ``.git``, sockets, pipes, devices.

    Args:
        source: the job's workdir; ``None`` for an empty folder.
        without: a folder that is not descended into, because the copy itself lives there.
        stop: asked once for each folder; true gives up.

    Raises:
        JobSpecError: as `check_workdir`, or no space is left. The half copy is removed.
        JobCancelled: ``stop`` said so.
    """
    try:
        target.mkdir(mode=0o700)
        if source is not None:
            _copy_tree(workdir_root(source), target, without, stop)
    except BaseException as error:
        remove_tree(target)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise JobSpecError(
                f"workdir: no space left for a copy of {str(source)!r} in {str(target.parent)!r}",
                hint="free some space, or name what a run does not need in .leptonignore",
            ) from error
        raise


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, also folders that forbid it by their mode; nothing when it is not there."""
    if not path.exists():
        return
    import shutil

    def allow(_: object, name: str, __: object) -> None:
        folder = os.path.dirname(name)
        os.chmod(folder, 0o700)
        if os.path.isdir(name) and not os.path.islink(name):
            os.chmod(name, 0o700)
            shutil.rmtree(name)
        else:
            os.unlink(name)

    shutil.rmtree(path, onerror=allow)


def _walk(root: str, without: Path | None = None) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Each entry that belongs to the job, folders before what is in them, with its path inside the tree."""
    skipped = _identity(without)
    todo = [("", Rules.above(root))]
    while todo:
        inner, rules = todo.pop()
        entries = _scan(os.path.join(root, inner))
        rules = rules.enter(root, inner, {entry.name for entry in entries})
        for entry in entries:
            path = f"{inner}/{entry.name}" if inner else entry.name
            folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or rules.ignore(path, folder) or (folder and _identity(entry.path) == skipped):
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


def _identity(path: str | Path | None) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False) if path is not None else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


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


def _copy_tree(root: str, target: Path, without: Path | None, stop: Callable[[], bool]) -> None:
    base = str(target)
    folders: list[tuple[str, int]] = []
    for entry, path in _walk(root, without):
        copy = f"{base}/{path}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), copy)
        elif entry.is_dir(follow_symlinks=False):
            if stop():
                raise JobCancelled("cancelled while its workdir was copied")
            os.mkdir(copy, 0o700)
            folders.append((copy, _mode(entry)))
        elif entry.is_file(follow_symlinks=False):
            _copy_file(entry, copy)
    # A folder that may not be written in gets its mode when everything is in it.
    for copy, mode in reversed(folders):
        os.chmod(copy, mode)


def _mode(entry: os.DirEntry[str]) -> int:
    return stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode) & 0o777


def _copy_file(entry: os.DirEntry[str], copy: str) -> None:
    try:
        reader = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
    except PermissionError:
        raise unreadable(entry.path) from None
    try:
        found = os.fstat(reader)
        writer = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _copy_bytes(reader, writer)
            os.fchmod(writer, stat.S_IMODE(found.st_mode) & 0o777)
            os.utime(writer, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_bytes(reader: int, writer: int) -> None:
    if len(data := os.read(reader, _BLOCK)) < _BLOCK:
        _write(writer, data)
        return
    os.lseek(reader, 0, os.SEEK_SET)
    try:
        # Shares the blocks where the file system can, and stays in the kernel where it cannot.
        while os.copy_file_range(reader, writer, 1 << 30):
            pass
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _CANNOT:
            raise
    while data := os.read(reader, _BLOCK):
        _write(writer, data)


def _write(writer: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(writer, view) :]
