"""Opens the journal's database at its place: a SQLite file for a path, PostgreSQL for a URL. Start here to add a third."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lepton_sdk._journal.store import Place, Store

__all__ = ["exists", "open_store", "put_aside"]


def open_store(place: Place, *, writable: bool, fresh: Callable[[], object] = lambda: None) -> Store:
    """Open the database at a place; with ``writable``, create it or migrate it to our version.

    Args:
        fresh: called before a journal is created where there is none; it may refuse by raising.

    Raises:
        JournalError: it is not ours, of a newer version, unreachable or not writable.
    """
    if isinstance(place, Path):
        from lepton_sdk._journal.stores.sqlite import SqliteStore

        return SqliteStore(place, writable=writable, fresh=fresh)
    return _postgres()(place, writable=writable, fresh=fresh)


def exists(place: Place) -> bool:
    """Whether there is a journal at a place; creates none."""
    if isinstance(place, Path):
        return place.exists()
    from lepton_sdk._journal.stores.postgres import is_there

    return is_there(place)


def put_aside(place: Place) -> str | None:
    """Move a journal's remains out of the way and keep them; return the new location, ``None`` if there was nothing.

    Raises:
        JournalError: it cannot be moved.
    """
    if isinstance(place, Path):
        from lepton_sdk._journal.stores.sqlite import set_aside

        found = set_aside(place)
        return None if found is None else str(found)
    from lepton_sdk._journal.stores import postgres

    return postgres.set_aside(place)


def _postgres() -> Callable[..., Store]:
    # 60 ms to import, so only for those who use it.
    from lepton_sdk._journal.stores.postgres import PostgresStore

    return PostgresStore
