"""Files that a job made, brought into a folder of this host. Nothing that a node sends is written anywhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lepton_sdk._executors.ignore import chosen
from lepton_sdk.errors import NodeError

if TYPE_CHECKING:
    import tarfile

__all__ = ["copy_outputs", "unpack"]

_BLOCK = 1 << 20


def copy_outputs(source: Path, patterns: Sequence[str], target: Path) -> tuple[str, ...]:
    """Copy what fits from a folder of this host; the paths that were copied."""
    means = chosen(patterns)
    found = sorted(path for path in _files(source) if means(path))
    links = [path for path in found if (source / path).is_symlink()]
    for path in found:
        if path not in links:
            with (source / path).open("rb") as file:
                _write(target, path, file, (source / path).stat())
    for path in links:
        _link(target, path, str((source / path).readlink()))
    return tuple(found)


def _files(root: Path) -> Iterable[str]:
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*files, *links):
            path = Path(folder, name)
            if path.is_symlink() or path.is_file():
                yield path.relative_to(root).as_posix()


def unpack(archive: IO[bytes], wanted: set[str], target: Path) -> tuple[str, ...]:
    """Write the wanted files of a tar archive, or of several in a row; the paths that were written.

    Raises:
        NodeError: the archive is broken, or holds what was not asked for.
    """
    import tarfile

    done: list[str] = []
    links: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(fileobj=archive, mode="r|", ignore_zeros=True) as tar:
            for member in tar:
                path = member.name.removeprefix("./")
                if path not in wanted:
                    raise NodeError(f"the node sent {member.name!r}, which was not asked for")
                if member.issym():
                    links.append(member)
                elif member.islnk():
                    _copy(target, path, member.linkname.removeprefix("./"), done)
                elif (file := tar.extractfile(member)) is not None:
                    _write(target, path, file, member)
                done.append(path)
    except tarfile.TarError as error:
        raise NodeError(f"the archive of outputs is broken: {error}", hint="ask for them again") from error
    # Last, so that nothing is ever written through one of them.
    for member in links:
        _link(target, member.name.removeprefix("./"), member.linkname)
    return tuple(done)


def _place(target: Path, path: str) -> Path:
    """Where a file goes; its folders are made, and none of them may be a link."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "" in parts:
        raise NodeError(f"the node sent {path!r}, which is no path inside the run's folder")
    folder = target
    folder.mkdir(parents=True, exist_ok=True)
    for name in parts[:-1]:
        folder /= name
        if folder.is_symlink():
            raise NodeError(f"{folder} is a link: nothing is written through it", hint="pull into an empty folder")
        folder.mkdir(exist_ok=True)
    return folder / parts[-1]


def _write(target: Path, path: str, file: IO[bytes], about: tarfile.TarInfo | os.stat_result) -> None:
    place = _place(target, path)
    fresh = place.with_name(f".{place.name[:200]}.{os.getpid()}")
    mode, mtime = (about.st_mode, about.st_mtime) if isinstance(about, os.stat_result) else (about.mode, about.mtime)
    try:
        with fresh.open("xb") as new:
            shutil.copyfileobj(file, new, _BLOCK)
        fresh.chmod(mode & 0o777)
        os.utime(fresh, (mtime, mtime))
        fresh.replace(place)
    finally:
        fresh.unlink(missing_ok=True)


def _copy(target: Path, path: str, other: str, done: list[str]) -> None:
    if other not in done:
        raise NodeError(f"the node sent {path!r} as a second name of {other!r}, which it had not sent")
    with (target / other).open("rb") as file:
        _write(target, path, file, (target / other).stat())


def _link(target: Path, path: str, where: str) -> None:
    """A link that stays inside; one that leaves would point somewhere else here, and is left out."""
    folder = os.path.dirname(path)  # noqa: PTH120 - text, not a place on this host
    inside = os.path.normpath(os.path.join(folder, where))  # noqa: PTH118
    if where.startswith("/") or inside == ".." or inside.startswith("../"):
        return
    place = _place(target, path)
    place.unlink(missing_ok=True)
    place.symlink_to(where)
