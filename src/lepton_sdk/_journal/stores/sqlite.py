"""The journal in a SQLite file: checks that it is ours, undamaged, of a known version, and writable.

A damaged file is copied aside and left as it is. Nothing here ever repairs or overwrites.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

from lepton_sdk._clock import Clock
from lepton_sdk._journal.store import Execute, Row, this_host
from lepton_sdk._journal.stores.sqlite_schema import APPLICATION_ID, MIGRATIONS, VERSION
from lepton_sdk.errors import (
    JournalCorrupt,
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnwritable,
)

__all__ = ["SqliteStore", "set_aside"]

# How long one process waits for another's transaction. Ours last milliseconds.
_BUSY_SECONDS = 10.0
_UNWRITABLE = ("readonly", "full", "unable to open", "disk i/o")
_CORRUPT = ("malformed", "not a database", "corrupt")
# SQLite's smallest page: a file with fewer bytes is a remnant.
_LEAST_BYTES = 512
# A journal up to this size is checked whole on opening (a few milliseconds); a larger one row by row when it is read.
_SMALL_BYTES = 1024 * 1024


class SqliteStore:
    """A `Store` in one file, safe for several processes and threads of one host.

    Args:
        fresh: called before a journal is created where there is none; it may refuse by raising.
    """

    def __init__(self, path: Path, *, writable: bool, fresh: Callable[[], object] = lambda: None) -> None:
        self.place = str(path)
        self.home = this_host()
        self._path = path
        self._reader = _connect(path, writable=writable, fresh=fresh)
        # A connection of its own, so that readers never see uncommitted data nor wait for a commit.
        self._writer: sqlite3.Connection | None = None
        self._turn = Lock()
        self._file = _identity(path)

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Read what is committed."""
        with translated(self._path):
            return self._reader.execute(statement, tuple(values)).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Write, alone among all processes; on the disk when the block ends."""
        with self._turn, translated(self._path):
            writer = self._writer = self._writer or _connect(self._path, writable=True)

            def execute(statement: str, values: Sequence[object] = ()) -> list[Row]:
                return writer.execute(statement, tuple(values)).fetchall()

            writer.execute("BEGIN IMMEDIATE")
            try:
                yield execute
                writer.execute("COMMIT")
            except BaseException:
                # A full disk has ended the transaction already; show the first error.
                with suppress(sqlite3.OperationalError):
                    writer.execute("ROLLBACK")
                raise

    def is_there(self) -> bool:
        """Whether the open file is still the one at its path: nobody reads entries in a removed file."""
        return _identity(self._path) == self._file

    def now(self, clock: Clock) -> datetime:
        """The time of this host: no other host writes here."""
        return clock.now()

    def fault(self) -> str | None:
        """What SQLite finds wrong."""
        problem = self.query("PRAGMA integrity_check(1)")[0][0]
        return None if problem == "ok" else str(problem)

    def corrupt(self, what: str) -> JournalCorrupt:
        """The error for rows that do not hold what was written; puts a copy of the file aside."""
        return corrupt(self._path, what)

    def is_small(self) -> bool:
        """Whether the file is read in a few milliseconds."""
        with translated(self._path):
            return self._path.stat().st_size <= _SMALL_BYTES

    def close(self) -> None:
        """Close the file."""
        for connection in filter(None, (self._reader, self._writer)):
            connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the operating system's errors into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translate(error, path) from error
    except OSError as error:
        raise JournalUnwritable(
            f"the journal's folder {path.parent} cannot be used: {error.strerror or error}",
            hint="free space or fix its rights, or name another folder in LEPTON_SDK_STATE",
        ) from error


def _translate(error: sqlite3.DatabaseError, path: Path) -> JournalError:
    text = str(error).lower()
    if any(word in text for word in _CORRUPT):
        return corrupt(path, str(error))
    if "locked" in text or "busy" in text:
        return JournalLocked(
            f"the journal {path} has been locked by another process for {_BUSY_SECONDS:.0f} seconds",
            hint="see which process holds it (fuser, lsof), then try again",
        )
    if any(word in text for word in _UNWRITABLE):
        return JournalUnwritable(
            f"the journal {path} cannot be written: {error}",
            hint="free space or fix its rights, or name another folder in LEPTON_SDK_STATE",
        )
    return JournalError(f"the journal {path} failed: {error}", hint="run lepton doctor")


def corrupt(path: Path, what: str) -> JournalCorrupt:
    """The error for a damaged journal; puts a copy of the file aside."""
    copy = _set_aside(path, "damaged")
    return JournalCorrupt(
        f"the journal {path} is damaged: {what}",
        hint=f"a copy lies at {copy}; restore a backup, or begin a new journal with lepton state new; lepton nodes shows what "
        "the damaged one may still hold",
    )


def set_aside(path: Path) -> Path | None:
    """Move what is left of a journal and its side files out of the way; return the new path."""
    if not path.exists():
        return None
    number = 1
    while (place := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    with translated(path):
        for suffix in ("-wal", "-shm", ""):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(place.with_name(place.name + suffix))
    return place


def _set_aside(path: Path, why: str) -> Path:
    """Copy the journal and its side files to a file beside them, once for the same content; return the copy's path."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    copy = path.with_name(f"{path.name}.{why}-{digest}")
    if not copy.exists():
        for suffix in ("-wal", "-shm", ""):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copy2(source, copy.with_name(copy.name + suffix))
    return copy


def _connect(path: Path, *, writable: bool, fresh: Callable[[], object] = lambda: None) -> sqlite3.Connection:
    """A connection to an undamaged journal; with ``writable``, create the file or migrate it to our version."""
    with translated(path):
        if _is_nothing(path):
            fresh()
        if writable:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        mode = "rw" if writable else "ro"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
        )
        try:
            _check(connection, path, fresh)
            if writable:
                _prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _is_nothing(path: Path) -> bool:
    """Whether there is no journal at all, not even a damaged one.

    Raises:
        JournalUnwritable, JournalCorrupt: there is a folder in its place, or the remnant of a file.
    """
    if path.is_dir():
        raise JournalUnwritable(f"the journal {path} is a folder", hint="move it away, or name another place in LEPTON_SDK_STATE")
    size = path.stat().st_size if path.exists() else 0
    if 0 < size < _LEAST_BYTES:
        raise corrupt(path, f"of the file {size} bytes are left")
    return size == 0


def _check(connection: sqlite3.Connection, path: Path, fresh: Callable[[], object]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0]
    if ours not in (0, APPLICATION_ID) or (ours == 0 and (version or _has_tables(connection))):
        raise corrupt(path, "it is not a journal of lepton_sdk")
    if ours == 0:
        # Another process may be creating it now, or its rows were in a side file that is gone.
        fresh()
    if version > VERSION:
        raise JournalTooNew(
            f"the journal {path} has version {version}; this lepton_sdk knows up to {VERSION}",
            hint=f"install the newer lepton_sdk again; a copy of the journal lies at {_set_aside(path, 'newer')}",
        )


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone())


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL may lose the last commit in a power failure, and that commit may be a paid machine.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated in between.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for migration in MIGRATIONS[version:]:
            for statement in _statements(migration):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The single statements of a script: `executescript` would commit our open transaction."""
    buffer = ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            yield buffer
            buffer = ""
