"""The tables: journals of earlier versions are brought to ours."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lepton_sdk import Job, Run
from lepton_sdk._clock import SystemClock
from lepton_sdk._journal import Journal
from lepton_sdk._journal.rows import checksum, event_row
from lepton_sdk._journal.store import this_host
from lepton_sdk._journal.stores.sqlite_schema import APPLICATION_ID, MIGRATIONS, VERSION
from lepton_sdk.domain.events import event_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_a_journal_of_the_version_before_is_brought_to_ours_with_its_open_run(tmp_path: Path) -> None:
    """What was open then is open now, though its record has nothing of what came later."""
    path = tmp_path / "journal.db"
    older = sqlite3.connect(path, isolation_level=None)
    for migration in MIGRATIONS[:2]:
        older.executescript(migration)
    older.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    older.execute("PRAGMA user_version = 2")
    older.execute("INSERT INTO meta VALUES ('owner', '1m8fzm4bsn4av3d5ap'), ('host', ?)", (this_host(),))
    run = Run("1m8fzm4m1yz9cta20m", Job("true", name="old"), datetime(2026, 11, 1, tzinfo=UTC))
    record = {name: value for name, value in run.to_record().items() if name != "stop_now"}
    text = json.dumps(record, separators=(",", ":"))
    planned = event_row(event_of("run.planned", run.id, run.created_at, None, {"job": run.job.to_dict()}, 1))
    older.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", planned)
    older.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", (run.id, "old", "planned", 0, text, checksum(run.id, text)))
    older.close()
    journal = Journal(path, SystemClock())
    try:
        assert journal.verify() == 1
        assert journal.run(run.id) == run
        journal.append(event_of("run.stop", run.id, SystemClock().now(), None, {"now": True}))
        assert (journal.stops(run.id), journal.run(run.id).stop_now) == (1, True)
    finally:
        journal.close()
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (VERSION,)
