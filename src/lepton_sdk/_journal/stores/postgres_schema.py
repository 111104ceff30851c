"""The journal's tables in PostgreSQL, as a list of migrations: entry N takes the schema from version N to N + 1."""

from __future__ import annotations

__all__ = ["MIGRATIONS", "VERSION"]

_FIRST = """
CREATE SCHEMA IF NOT EXISTS lepton_sdk;

CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO meta (name, value) VALUES ('version', '0');

CREATE TABLE events (
    seq bigint PRIMARY KEY,
    at text NOT NULL,
    kind text NOT NULL,
    run text NOT NULL,
    token text,
    data text NOT NULL,
    checksum bigint NOT NULL
);
CREATE INDEX events_by_run ON events (run, seq);
CREATE FUNCTION events_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'events are append-only'; END
$$;
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_final();

CREATE TABLE runs (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    state text NOT NULL,
    ended integer NOT NULL,
    record text NOT NULL,
    checksum bigint NOT NULL
);
CREATE INDEX runs_by_end ON runs (ended, id);

CREATE TABLE nodes (
    token text PRIMARY KEY,
    run text NOT NULL,
    provider text NOT NULL,
    stage text NOT NULL,
    open integer NOT NULL,
    price text,
    currency text
);
CREATE INDEX nodes_by_open ON nodes (open, provider, price, currency, run);

CREATE TABLE claims (
    run text PRIMARY KEY,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    until text NOT NULL
);
CREATE TABLE accounts (provider text PRIMARY KEY, account text NOT NULL, at text NOT NULL);
"""

# Every follower checks for stop requests at each poll. From here on entries may also say what could not be fetched, which
# plugin blocked its client, and that a node was given up, so an older client must not read them.
_SECOND = """
CREATE INDEX events_of_stops ON events (run) WHERE kind = 'run.stop';
"""

# No table changes. From here on entries may say that a node is queued, that a create call was repeated, and what was created for
# a whole attempt, and an access may be of a kind that core does not know: an older client must not read them.
_THIRD = "SELECT 1;"

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD)
VERSION = len(MIGRATIONS)
