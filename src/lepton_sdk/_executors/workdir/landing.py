"""The folder of this host in which files of a job arrive. Nothing is written outside of it, each file is whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lepton_sdk.domain.words import one_line
from lepton_sdk.spi.executor import Fetched

__all__ = ["Incoming", "Landing", "Refused", "size_text"]

# A full disk stops more than us.
_SPARE_ROOM = 64 << 20
_OUT = "it is a link that leads out of the run's folder"
_TURNS = 8


class Refused(Exception):
    """One file cannot be taken; the text says why."""


class Landing:
    """What has arrived so far, and what could not.

    Args:
        target: the folder; made when the first file comes.
        most: so many bytes are written at most; ``None`` for as many as have room.
    """

    def __init__(self, target: Path, most: int | None = None) -> None:
        self._target = target
        self._left = most
        self._folders: set[str] = set()
        self._later: dict[str, str] = {}
        self._made: dict[str, str] = {}
        self.done: dict[str, None] = {}
        self.missing: dict[str, str] = {}

    @property
    def fetched(self) -> Fetched:
        """All of it as the contract wants it."""
        return Fetched(tuple(self.done), tuple((path, why) for path, why in self.missing.items() if path not in self.done))

    def settled(self, path: str) -> bool:
        """Whether it is clear what became of a path."""
        return path in self.done or path in self.missing or path in self._later

    def miss(self, path: str, why: str) -> None:
        """Note that a path does not come."""
        self.missing.setdefault(path, one_line(why))

    # --- files -----------------------------------------------------------------------------------------------------

    def receive(self, path: str, size: int, mode: int, mtime: float | None) -> Incoming | None:
        """Begin a file; ``None`` when it cannot be taken, which is noted."""
        try:
            place = self._place(path)
            self._make_room(size)
            return Incoming(self, path, place, mode, mtime)
        except (Refused, OSError, ValueError) as error:
            self.fail(path, error)
            return None

    def fail(self, path: str, error: Exception) -> None:
        """Note why a file cannot be taken."""
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.miss(path, words or type(error).__name__)

    def take(self, size: int) -> None:
        """Count bytes that are written.

        Raises:
            Refused: they are more than may be.
        """
        if self._left is not None:
            if size > self._left:
                raise Refused("it is larger than it was said to be, and does not fit")
            self._left -= size

    def copy(self, path: str, other: str) -> None:
        """Write a file that has arrived under a second name."""
        try:
            fd = os.open(self._target / other, os.O_RDONLY | os.O_NOFOLLOW)
        except (OSError, ValueError) as error:
            self.fail(path, error)
            return
        with os.fdopen(fd, "rb") as file:
            self.read_from(path, file.fileno(), lambda: False)

    def read_from(self, path: str, fd: int, stop: Callable[[], bool]) -> None:
        """Write a file that is open on this host. What is added to it meanwhile is not taken."""
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            self.miss(path, kind_text(found.st_mode))
        elif (new := self.receive(path, found.st_size, found.st_mode, found.st_mtime)) is not None:
            new.fill(fd, found.st_size, stop)

    def _make_room(self, size: int) -> None:
        if self._left is not None and size > self._left:
            raise Refused(f"its {size_text(size)} do not fit into the {size_text(self._left)} that are left to be brought")
        disk = shutil.disk_usage(self._target)
        if size > disk.free - min(_SPARE_ROOM, disk.total // 20):
            raise Refused(f"its {size_text(size)} have no room on the disk here")

    def _place(self, path: str) -> Path:
        """Where a file goes; its folders are made, and none of them may be a link."""
        parts = path.split("/")
        if not path or path.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
            raise Refused("its name is no path inside the run's folder")
        if "\0" in path:
            raise Refused("its name has a null character")
        self._enter(self._target, parents=True)
        folder = self._target
        for name in parts[:-1]:
            folder /= name
            self._enter(folder)
        return folder / parts[-1]

    def _enter(self, folder: Path, *, parents: bool = False) -> None:
        if (text := str(folder)) in self._folders:
            return
        if not parents and folder.is_symlink():
            raise Refused(f"{text} is a link here, and nothing is written through it; pull into an empty folder")
        try:
            folder.mkdir(parents=parents, exist_ok=True)
        except FileExistsError:
            raise Refused(f"{text} is a file here; pull into an empty folder") from None
        self._folders.add(text)

    # --- links -----------------------------------------------------------------------------------------------------

    def link(self, path: str, where: str) -> None:
        """Take a link. One that leads through other links is made at the end, when all are here."""
        try:
            place = self._place(path)
            stays = self._stays(path, where)
            if stays:
                self._make(path, place, where)
            elif stays is None:
                self._later[path] = where
            else:
                self.miss(path, _OUT)
        except (Refused, OSError, ValueError) as error:
            self.fail(path, error)

    def _stays(self, path: str, where: str) -> bool | None:
        """Whether a link stays inside whatever else comes; ``None`` when that depends on other links.

        Going up is certain only out of a real folder. Once its way has gone through a name that is a link or not there, a
        link may only go further down: then each link that is made stays inside, and so does every chain of them.
        """
        if where.startswith("/"):
            return False
        here, certain = path.split("/")[:-1], True
        for name in where.split("/"):
            if name in ("", "."):
                continue
            if name != "..":
                here.append(name)
                certain = certain and _is_folder(self._target.joinpath(*here))
            elif not certain:
                return None
            elif not here:
                return False
            else:
                here.pop()
        return True

    def finish(self) -> None:
        """Make the links that lead through other links, by where they really lead now."""
        later, self._later = self._later, {}
        for _ in range(_TURNS):
            made = [path for path, where in later.items() if self._made_real(path, where)]
            later = {path: where for path, where in later.items() if path not in made}
            if not made or not later:
                break
        for path in later:
            self.miss(path, f"{_OUT}, or to what did not come")
        for _ in range(_TURNS):
            if not [path for path in list(self._made) if self._undone(path)]:
                break

    def _undone(self, path: str) -> bool:
        """Take a link away that leads to nothing here because something on its way did not come."""
        way = os.path.normpath(os.path.join(os.path.dirname(path), self._made[path])).split("/")  # noqa: PTH118, PTH120
        gone = next((name for n in range(len(way)) if (name := "/".join(way[: n + 1])) in self.missing), None)
        if gone is None or gone in self.done or os.path.lexists(self._target / gone):
            return False
        del self._made[path], self.done[path]
        with suppress(OSError):
            (self._target / path).unlink()
        self.miss(path, f"it is a link by way of {gone}, which is missing")
        return True

    def _made_real(self, path: str, where: str) -> bool:
        try:
            place = self._place(path)
            folder = os.path.realpath(place.parent)
            try:
                real = os.path.realpath(os.path.join(folder, where), strict=True)  # noqa: PTH118 - the text may have dots
            except OSError:
                return False
            # Written as the plain way, which no other link can turn elsewhere.
            self._make(path, place, os.path.relpath(real, folder))
        except (Refused, OSError, ValueError) as error:
            self.fail(path, error)
        return True

    def _make(self, path: str, place: Path, where: str) -> None:
        inside = os.path.realpath(self._target)
        real = os.path.realpath(os.path.join(place.parent, where))  # noqa: PTH118
        # A link of the user's own may stand in the way.
        if real != inside and not real.startswith(os.path.join(inside, "")):  # noqa: PTH118
            raise Refused(_OUT)
        fresh = place.with_name(_fresh_name())
        try:
            fresh.symlink_to(where)
            fresh.replace(place)
        finally:
            fresh.unlink(missing_ok=True)
        self.done[path] = None
        self._made[path] = where


class Incoming:
    """A file that is being written beside its place.

    Raises:
        OSError, ValueError: it cannot be begun.
    """

    def __init__(self, landing: Landing, path: str, place: Path, mode: int, mtime: float | None) -> None:
        self._landing, self._path, self._place = landing, path, place
        self._mode, self._mtime = mode, mtime
        # A name of the same length as its own might be too long.
        self._fresh = place.with_name(_fresh_name())
        self._fd = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes; what fails is noted, and the rest of the file is passed over."""
        if self._fd < 0:
            return
        try:
            self._landing.take(len(data))
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except (OSError, Refused) as error:
            self._landing.fail(self._path, error)
            self.drop()

    def fill(self, fd: int, size: int, stop: Callable[[], bool]) -> None:
        """Take up to ``size`` bytes of a file that is open, then close."""
        try:
            while size > 0 and not stop() and (data := os.read(fd, min(size, 1 << 20))):
                self.write(data)
                size -= len(data)
            if not stop():
                self.close()
        except OSError as error:
            self._landing.fail(self._path, error)
        finally:
            self.drop()

    def close(self) -> None:
        """Put it in its place, whole."""
        if self._fd < 0:
            return
        try:
            # Whoever brought it may read it.
            os.fchmod(self._fd, self._mode & 0o777 | 0o400)
            if self._mtime is not None:
                # A time that this file system cannot keep is no reason to lose the file.
                with suppress(OSError, OverflowError, ValueError):
                    os.utime(self._fd, (self._mtime, self._mtime))
            self._fresh.replace(self._place)
            self._landing.done[self._path] = None
        except OSError as error:
            self._landing.fail(self._path, error)
        finally:
            self.drop()

    def drop(self) -> None:
        """Leave nothing of what is not whole."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with suppress(OSError):
                self._fresh.unlink(missing_ok=True)


def _fresh_name() -> str:
    return f".lepton-{secrets.token_hex(8)}.part"


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def kind_text(mode: int) -> str:
    """What is neither file nor link nor folder, in words."""
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a link by now"))
    return f"it is {next((words for holds, words in kinds if holds(mode)), 'a device')}, and no file"


def size_text(size: int) -> str:
    """Bytes for people."""
    number = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
