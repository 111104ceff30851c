"""The journal in a PostgreSQL database, for several people and hosts: a schema of its own, one writer at a time.

The extra ``lepton-sdk[postgres]`` brings psycopg 3 with its own libpq.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from lepton_sdk._clock import Clock
from lepton_sdk._config.show import passwords_in, shown_address
from lepton_sdk._journal.store import Execute, Row
from lepton_sdk._journal.stores.postgres_schema import MIGRATIONS, VERSION
from lepton_sdk.errors import (
    ConfigError,
    JournalCorrupt,
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnreachable,
    JournalUnwritable,
)
from lepton_sdk.spi.secret import Secret

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresStore", "is_there", "set_aside"]

_LOCK_SECONDS = 10
# An unreachable server is noticed within this time, long before the operating system drops the connection.
_DEFAULTS = {"connect_timeout": "10", "tcp_user_timeout": "20000", "keepalives_idle": "20", "application_name": "lepton_sdk"}
# Writers wait for the schema's lock as they would for a file's. READ COMMITTED, so that each sees what the previous one
# wrote; `synchronous_commit` may be off by default on a server, and then a power failure loses the last commit.
_BEGIN = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL synchronous_commit = on;
SET LOCAL lock_timeout = '{_LOCK_SECONDS}s';
SELECT pg_advisory_xact_lock(hashtext('lepton_sdk'))
"""
_HOME = """
SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::text,
       has_function_privilege('pg_control_system()', 'execute')
"""
_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
_RESTORE = (
    "restore the schema lepton_sdk from a backup, or begin a new journal with lepton state new; lepton nodes shows what the "
    "damaged one may still hold"
)
_TABLES = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'lepton_sdk'"
# The server says this while it refuses a connection; the driver passes no code on.
_NO_DATABASE = "does not exist"
_T = TypeVar("_T")


class PostgresStore:
    """A `Store` in the schema ``lepton_sdk`` of a database.

    Args:
        fresh: called before a journal is created where there is none; it may refuse by raising.
    """

    def __init__(self, url: Secret, *, writable: bool, fresh: Callable[[], object] = lambda: None) -> None:
        self._url = url
        self.place = shown_address(url)
        self._reader: psycopg.Connection[Row] | None = None
        # A connection of its own, so that readers never see uncommitted data nor wait for a commit.
        self._writer: psycopg.Connection[Row] | None = None
        self._turn = Lock()
        self.home = ""
        try:
            if not self._check_version():
                fresh()
            if writable:
                self._check_fsync()
                self._migrate()
        except BaseException as error:
            self.close()
            if isinstance(error, JournalUnreachable) and _NO_DATABASE in error.message:
                fresh()
            raise

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Read what is committed."""
        with self._translated():
            self._reader, rows = self._through(self._reader, lambda reader: _run(reader, statement, values))
            return rows

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Write, alone among all users of the schema; on the server's disk when the block ends."""
        with self._turn, self._translated():
            self._writer, _ = self._through(self._writer, lambda writer: writer.execute(_BEGIN))
            writer = self._writer

            def execute(statement: str, values: Sequence[object] = ()) -> list[Row]:
                return _run(writer, statement, values)

            try:
                yield execute
                writer.execute("COMMIT")
            except BaseException:
                # A broken connection has ended the transaction already; show the first error.
                with suppress(Exception):
                    writer.execute("ROLLBACK")
                raise

    def is_there(self) -> bool:
        """Always: the server answers for its own tables."""
        return True

    def now(self, clock: Clock) -> datetime:
        """The server's time: the clocks of its clients differ."""
        found: datetime = self.query("SELECT clock_timestamp()")[0][0]
        return found.astimezone(UTC)

    def fault(self) -> str | None:
        """Nothing: the server checks its own data."""
        return None

    def corrupt(self, what: str) -> JournalCorrupt:
        """The error for rows that do not hold what was written."""
        return JournalCorrupt(
            f"the journal {self.place} is damaged: {what}",
            hint=_RESTORE,
        )

    def is_small(self) -> bool:
        """Never: reading a team's whole journal would delay every command, so rows are checked when they are read."""
        return False

    def close(self) -> None:
        """Close the connections."""
        for connection in filter(None, (self._reader, self._writer)):
            connection.close()

    # ---------------------------------------------------------------------------------------------------------------

    def _through(
        self, connection: psycopg.Connection[Row] | None, ask: Callable[[psycopg.Connection[Row]], _T]
    ) -> tuple[psycopg.Connection[Row], _T]:
        """Query over the open connection, or over a fresh one if the server has closed it. Only for repeatable queries."""
        import psycopg

        if connection is not None:
            try:
                return connection, ask(connection)
            except psycopg.Error:
                if not connection.closed:
                    connection.execute("ROLLBACK")
                    raise
        connection = self._connect()
        try:
            return connection, ask(connection)
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> psycopg.Connection[Row]:
        connection = _connected(self._url)
        try:
            connection.execute("SET search_path TO lepton_sdk")
            # Read at each connection: another server may answer at the same address.
            database, may_ask = _run(connection, _HOME)[0]
            system = _run(connection, _SYSTEM)[0][0] if may_ask else "unknown"
        except BaseException:
            connection.close()
            raise
        # A dump restored elsewhere, or a copy of the database on the same server, has another id.
        self.home = f"{system}/{database}"
        return connection

    def _check_version(self) -> bool:
        """Whether there is a journal at all."""
        tables = self.query(_TABLES)
        if not tables:
            return False
        found = self.query("SELECT value FROM meta WHERE name = 'version'") if ("meta",) in tables else []
        if not found:
            raise self.corrupt("the table of its version is gone or empty")
        version = int(found[0][0])
        if version > VERSION:
            raise JournalTooNew(
                f"the journal {self.place} has version {version}; this lepton_sdk knows up to {VERSION}",
                hint="install the newer lepton_sdk again",
            )
        return True

    def _check_fsync(self) -> None:
        fsync = self.query("SHOW fsync")[0][0]
        if fsync != "on":
            raise JournalUnwritable(
                f"the server of the journal {self.place} runs with fsync = {fsync}: a power failure would take rows with it",
                hint="set fsync = on in postgresql.conf",
            )

    def _migrate(self) -> None:
        with self.transaction() as execute:
            # Read under the lock: another process may have been first.
            there = execute("SELECT to_regclass('lepton_sdk.meta') IS NOT NULL")[0][0]
            version = int(execute("SELECT value FROM meta WHERE name = 'version'")[0][0]) if there else 0
            for migration in MIGRATIONS[version:]:
                execute(migration)
            if version < VERSION:
                execute("UPDATE meta SET value = ? WHERE name = 'version'", (str(VERSION),))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise _translate(error, self._url) from None


def is_there(url: Secret) -> bool:
    """Whether the database has a journal; creates none."""
    import psycopg

    try:
        with _connected(url) as connection:
            return bool(_run(connection, "SELECT to_regclass('lepton_sdk.meta') IS NOT NULL")[0][0])
    except psycopg.Error as error:
        raise _translate(error, url) from None


def set_aside(url: Secret) -> str | None:
    """Rename what is left of the schema; return its new name, ``None`` if there is none."""
    import psycopg

    try:
        with _connected(url) as connection:
            names = {row[0] for row in _run(connection, "SELECT nspname::text FROM pg_namespace")}
            if "lepton_sdk" not in names:
                return None
            number = next(n for n in range(1, len(names) + 2) if f"lepton_sdk_old_{n}" not in names)
            _run(connection, f"ALTER SCHEMA lepton_sdk RENAME TO lepton_sdk_old_{number}")
            return f"lepton_sdk_old_{number}"
    except psycopg.Error as error:
        raise _translate(error, url) from None


def _connected(url: Secret) -> psycopg.Connection[Row]:
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigError(
            f"a journal in PostgreSQL needs psycopg: {error}", hint='pip install "lepton-sdk[postgres]", or name a folder'
        ) from None
    try:
        options: dict[str, Any] = _DEFAULTS | conninfo_to_dict(url.reveal())
    except psycopg.ProgrammingError:
        # The parser's message quotes what it does not understand, which may be part of a password.
        raise ConfigError(
            f"the address {shown_address(url)} of the journal is not one that PostgreSQL's own tools understand",
            hint="write postgresql://user@host/database, with % before hexadecimal digits for special characters",
        ) from None
    return psycopg.connect(autocommit=True, **options)


def _run(connection: psycopg.Connection[Row], statement: str, values: Sequence[object] = ()) -> list[Row]:
    # Our statements contain no other question mark, and values are never part of them.
    cursor = connection.execute(statement.replace("?", "%s").encode(), tuple(values) or None)
    return cursor.fetchall() if cursor.description else []


def _translate(error: psycopg.Error, url: Secret) -> JournalError:
    from psycopg import errors

    # The driver's message has several lines; ours has one.
    text = " ".join(str(error).split())
    for password in passwords_in(url):
        text = text.replace(password, "••••••")
    where = f"the journal {shown_address(url)}"
    if isinstance(error, errors.LockNotAvailable):
        return JournalLocked(
            f"{where} has been locked by another process for {_LOCK_SECONDS} seconds", hint="see who holds it (pg_locks)"
        )
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName):
        return JournalCorrupt(f"{where} is damaged: a table of it is gone: {text}", hint=_RESTORE)
    if isinstance(error, errors.DiskFull | errors.ReadOnlySqlTransaction | errors.InsufficientPrivilege):
        return JournalUnwritable(f"{where} cannot be written: {text}", hint="free space or grant the rights")
    if isinstance(error, errors.OperationalError | errors.InterfaceError):
        return JournalUnreachable(
            f"{where} does not answer: {text}",
            hint="start the server or mend the address in LEPTON_SDK_STATE",
        )
    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
        return JournalCorrupt(f"{where} is damaged: {text}", hint=_RESTORE)
    return JournalError(f"{where} failed: {text}", hint="run lepton doctor")
