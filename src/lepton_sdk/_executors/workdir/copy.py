"""A fresh copy of a job's folder for each run: what the ignore rules leave, with links and modes, and nothing else."""

# Ten thousand files should take a second, so paths stay text.
# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH114, PTH115, PTH120, PTH211

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from lepton_sdk._executors.workdir.walk import unreadable, walk_workdir
from lepton_sdk.errors import JobCancelled, JobSpecError

__all__ = ["copy_workdir", "remove_tree"]

_BLOCK = 1 << 17
# copy_file_range(2) refuses with these where the two file systems cannot do it; plain reading and writing then can.
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def copy_workdir(
    source: str | Path | None,
    target: Path,
    *,
    without: Sequence[Path] = (),
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Copy what belongs to a job into ``target``, which must not exist.

    Left out: what ``.gitignore`` and ``.leptonignore`` files name (the latter win), ``.git``, sockets, pipes, devices.

    Args:
        source: the job's workdir; ``None`` for an empty folder.
        without: folders that are not entered, because the copy itself lives there.
        stop: asked once for each folder; true gives up.

    Raises:
        JobSpecError: as `check_workdir`, or no space is left. The half copy is removed.
        JobCancelled: ``stop`` said so.
    """
    try:
        target.mkdir(mode=0o700)
        if source is not None:
            _copy_tree(source, target, without, stop)
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


def _copy_tree(source: str | Path, target: Path, without: Sequence[Path], stop: Callable[[], bool]) -> None:
    base = str(target)
    folders: list[tuple[str, int]] = []
    for entry, path in walk_workdir(source, without=without):
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
