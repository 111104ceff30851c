"""Opening the journal's file: is it ours, whole, of a version that we know, and can it be written?

A file that does not hold is copied aside and left as it is. Nothing here ever repairs or overwrites.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_sdk._journal.schema import APPLICATION_ID, MIGRATIONS, VERSION
from lepton_sdk.errors import (
    JournalCorrupt,
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnwritable,
)

__all__ = ["connect", "set_aside", "translated"]

# How long one process waits for another's transaction. Ours last milliseconds.
_BUSY_SECONDS = 10.0
_UNWRITABLE = ("readonly", "full", "unable to open", "disk i/o")
_CORRUPT = ("malformed", "not a database", "corrupt")


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
            hint="free space or fix its rights, or name another folder in LEPTON_SDK_STATE; nothing was started",
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
            hint="free space or fix its rights, or name another folder in LEPTON_SDK_STATE; nothing was started",
        )
    return JournalError(f"the journal {path} failed: {error}", hint="run lepton doctor")


def corrupt(path: Path, what: str) -> JournalCorrupt:
    """The error for a journal whose bytes are not what was written, after a copy was put aside."""
    copy = set_aside(path, "damaged")
    return JournalCorrupt(
        f"the journal {path} is damaged: {what}",
        hint=f"a copy lies at {copy}; restore a backup, or move the file away to begin a new journal "
        "(machines that the old one knew must then be looked for at their providers)",
    )


def set_aside(path: Path, why: str) -> Path:
    """Copy the journal and its side files beside themselves, once for the same content; the path of the copy."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    copy = path.with_name(f"{path.name}.{why}-{digest}")
    if not copy.exists():
        for suffix in ("-wal", "-shm", ""):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copy2(source, copy.with_name(copy.name + suffix))
    return copy


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """A connection to a journal that holds; with ``writable`` the file is made or brought to our version."""
    with translated(path):
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
            _check(connection, path)
            if writable:
                _prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0]
    if ours not in (0, APPLICATION_ID) or (ours == 0 and (version or _has_tables(connection))):
        raise corrupt(path, "it is not a journal of lepton_sdk")
    if version > VERSION:
        raise JournalTooNew(
            f"the journal {path} has version {version}; this lepton_sdk knows up to {VERSION}",
            hint=f"install the newer lepton_sdk again; a copy of the journal lies at {set_aside(path, 'newer')}",
        )


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone())


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL may lose the last commit on a power failure, and that commit may be a paid machine.
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
    """Single statements of a script: `executescript` would commit the transaction that we hold."""
    buffer = ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            yield buffer
            buffer = ""
