"""The seam between the journal and the database that it lies in: one writer at a time, durable commits, rows of plain values."""

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

# A file, or the URL of a database, which may hold a password.
Place = Path | Secret
Row = tuple[Any, ...]


class Execute(Protocol):
    """Runs one statement inside a transaction and gives its rows."""

    def __call__(self, statement: str, values: Sequence[object] = ()) -> list[Row]: ...


class Store(Protocol):
    """One open database. Statements are written in what SQLite and PostgreSQL share, with ``?`` for each value.

    Attributes:
        place: how people are told where it is; never a password.
        home: the id of the host (a file) or of the database (a server) that it lies on, which a copy does not bring along.
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
        """Write, alone among all processes, and durable when the block has ended; an error in the block undoes all of it.

        Raises:
            JournalError: nothing was written, or (a connection that broke in the commit) nobody knows.
        """
        ...

    def is_there(self) -> bool:
        """Whether what is open is still what others find at the place."""
        ...

    def now(self, clock: Clock) -> datetime:
        """The time that claims are measured by: one for all who share the database."""
        ...

    def fault(self) -> str | None:
        """What the database itself finds wrong with its bytes."""
        ...

    def corrupt(self, what: str) -> JournalCorrupt:
        """The error for rows that are not what was written."""
        ...

    def is_small(self) -> bool:
        """Whether all of it can be read on opening without being noticed."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def key_of(place: Place) -> str:
    """A place as marks name it, the same however it is written; never with a password."""
    if isinstance(place, Path):
        return os.path.realpath(place)
    from lepton_sdk._config.show import bare_address

    return bare_address(place)


def this_host() -> str:
    """The host's own id, which a copy of a file does not bring along (machine-id(5)); its name where it has none."""
    try:
        return Path("/etc/machine-id").read_text().strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()
