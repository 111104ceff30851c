"""Files that a job made on this host, copied into another folder of it."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from lepton_sdk._executors.workdir.ignore import chosen
from lepton_sdk._executors.workdir.landing import Landing, kind_text
from lepton_sdk.spi.executor import Fetched

__all__ = ["copied", "copy_outputs", "to_its_end"]

_T = TypeVar("_T")


async def copied(source: Path, patterns: Sequence[str], target: Path, *, most: int | None = None) -> Fetched:
    """`copy_outputs` in a thread, which ends with the file that it is at when the caller is cancelled."""
    stop = threading.Event()
    return await to_its_end(asyncio.to_thread(copy_outputs, source, patterns, target, most=most, stop=stop.is_set), stop.set)


async def to_its_end(work: Awaitable[_T], stop: Callable[[], object] = lambda: None) -> _T:
    """The result of what cannot be cut short, such as a thread: when the caller is cancelled it is told to stop, and awaited."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
            stop()
    if cancelled:
        # Whatever came of it, nobody asks any more.
        task.exception()
        raise asyncio.CancelledError
    return task.result()


def copy_outputs(
    source: Path,
    patterns: Sequence[str],
    target: Path,
    *,
    most: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Fetched:
    """Copy what fits from a folder of this host.

    Args:
        most: so many bytes are written at most.
        stop: whether to end now; what is copied whole by then stays.
    """
    means, landing = chosen(patterns), Landing(target, most)
    found = sorted(path for path in _files(source, landing, stop) if means(path))
    for path in found:
        if stop():
            break
        _copy(source, path, landing, stop)
    landing.finish()
    return landing.fetched


def _files(root: Path, landing: Landing, stop: Callable[[], bool]) -> Iterator[str]:
    """Everything that is no folder."""

    def failed(error: OSError) -> None:
        if Path(error.filename) != root:
            landing.miss(f"{Path(error.filename).relative_to(root).as_posix()}/", error.strerror or str(error))
        elif not isinstance(error, FileNotFoundError):
            landing.miss(".", error.strerror or str(error))

    if root.is_symlink():
        landing.miss(".", "the run's folder has become a link")
        return
    for folder, folders, files in os.walk(root, onerror=failed):
        if stop():
            return
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        below = os.path.relpath(folder, root)
        yield from (name if below == "." else f"{below}/{name}" for name in (*files, *links))


def _copy(source: Path, path: str, landing: Landing, stop: Callable[[], bool]) -> None:
    place = source / path
    try:
        mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            landing.link(path, os.readlink(place))  # noqa: PTH115 - its text, as it is
        elif not stat.S_ISREG(mode):
            landing.miss(path, kind_text(mode))
        else:
            # What has become something else since must not hold us.
            fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                landing.read_from(path, fd, stop)
            finally:
                os.close(fd)
    except (OSError, ValueError) as error:
        landing.fail(path, error)
