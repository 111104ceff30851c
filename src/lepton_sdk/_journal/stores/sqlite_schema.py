"""The journal's tables, as a list of migrations: entry N takes a journal from version N to N + 1."""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS", "VERSION"]

# "LPTN", so that a foreign file is never taken for a journal.
APPLICATION_ID = 0x4C50544E

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at   TEXT NOT NULL,
    kind TEXT NOT NULL,
    run  TEXT NOT NULL,
    token TEXT,
    data TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX events_by_run ON events (run, seq);
CREATE TRIGGER events_are_final BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    ended INTEGER NOT NULL,
    record TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX runs_by_end ON runs (ended, id);

CREATE TABLE nodes (
    token TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    provider TEXT NOT NULL,
    stage TEXT NOT NULL,
    open INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX nodes_by_open ON nodes (open, provider);

CREATE TABLE claims (
    run TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until TEXT NOT NULL
) WITHOUT ROWID;
"""

# Each node's price is a column, so that a cap over ten thousand nodes is one sum.
_SECOND = """
ALTER TABLE nodes ADD COLUMN price TEXT;
ALTER TABLE nodes ADD COLUMN currency TEXT;
UPDATE nodes SET (price, currency) = (
    SELECT coalesce(json_extract(node.value, '$.node.price_per_hour'), json_extract(node.value, '$.offer.price_per_hour')),
           coalesce(json_extract(node.value, '$.node.currency'), json_extract(node.value, '$.offer.currency'))
    FROM runs, json_each(runs.record, '$.nodes') AS node
    WHERE runs.id = nodes.run AND json_extract(node.value, '$.token') = nodes.token
) WHERE open = 1;
DROP INDEX nodes_by_open;
CREATE INDEX nodes_by_open ON nodes (open, provider, price, currency, run);
CREATE TABLE accounts (provider TEXT PRIMARY KEY, account TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
"""

# Every follower checks for stop requests at each poll. From here on entries may also say what could not be fetched, which
# plugin blocked its client, and that a node was given up, so an older client must not read them.
_THIRD = """
CREATE INDEX events_of_stops ON events (run) WHERE kind = 'run.stop';
"""

# No table changes. From here on entries may say that a node is queued, that a create call was repeated, and what was created for
# a whole attempt, and an access may be of a kind that core does not know: an older client must not read them.
_FOURTH = "SELECT 1;"

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)
VERSION = len(MIGRATIONS)
