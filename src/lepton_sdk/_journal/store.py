"""What the journal needs from its database: one writer at a time, durable commits, rows of plain values."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from lepton_sdk._clock import Clock
from lepton_sdk.errors import JournalCorrupt
from lepton_sdk.spi.secret import Secret

__all__ = ["Execute", "Place", "Row", "Store", "key_of", "this_host"]

# A file, or the URL of a database, which may contain a password.
Place = Path | Secret
Row = tuple[Any, ...]


class Execute(Protocol):
    """Runs one statement inside a transaction and returns its rows."""

    def __call__(self, statement: str, values: Sequence[object] = ()) -> list[Row]: ...


class Store(Protocol):
    """One open database. Statements use the SQL that SQLite and PostgreSQL share, with ``?`` for each value.

    Attributes:
        place: its printable location, without a password.
        home: the id of the host (for a file) or of the database (on a server). A copy elsewhere has another.
    """

    place: str
    home: str

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Read what is committed.

        Raises:
            JournalError: it cannot be read.
        """
        ...

    def transaction(self) -> AbstractContextManager[Execute]:
        """Write, alone among all processes; durable when the block ends. An error in the block undoes all of it.

        Raises:
            JournalError: nothing was written, or it is unknown (the connection broke during the commit).
        """
        ...

    def is_there(self) -> bool:
        """Whether the open database is still the one that others find at the place."""
        ...

    def now(self, clock: Clock) -> datetime:
        """The time for claims: the same for all who share the database."""
        ...

    def fault(self) -> str | None:
        """What the database's own check finds; ``None`` if all is well."""
        ...

    def corrupt(self, what: str) -> JournalCorrupt:
        """The error for rows that do not hold what was written."""
        ...

    def is_small(self) -> bool:
        """Whether it is small enough to read all of it on opening."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def key_of(place: Place) -> str:
    """A place's name in marks: the same for every spelling, and without a password."""
    if isinstance(place, Path):
        return os.path.realpath(place)
    from lepton_sdk._config.show import bare_address

    return bare_address(place)


def this_host() -> str:
    """The host's own id (machine-id(5)), which copying a file does not copy; its name where it has no id."""
    try:
        return Path("/etc/machine-id").read_text().strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()
