"""A journal that went back in time does not act: a restored backup, a forked copy, or rows that a disk never kept."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import JournalRolledBack
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def client(folder: Path, state: Path | None = None, cache: Path | None = None) -> Client:
    cloud = FakeProvider(folder / "cloud")
    return Client(state=state or folder / "state", cache=cache or folder / "cache", providers={FAKE_SPEC: cloud})


def run(folder: Path, state: Path | None = None) -> None:
    with client(folder, state) as opened:
        assert opened.run(Job("true", resources="H100:8")).exit_code == 0


def set_back(folder: Path) -> None:
    """Put yesterday's backup in place of today's journal."""
    for path in (folder / "state").glob("journal.db*"):
        path.unlink()
    shutil.copy2(folder / "backup", folder / "state" / "journal.db")


def back_up(folder: Path) -> None:
    source, copy = sqlite3.connect(folder / "state" / "journal.db"), sqlite3.connect(folder / "backup")
    with source, copy:
        source.backup(copy)
    source.close()
    copy.close()


def test_a_restored_backup_is_frozen_until_it_is_adopted(tmp_path: Path) -> None:
    run(tmp_path)
    back_up(tmp_path)
    run(tmp_path)
    set_back(tmp_path)
    made = len(FakeProvider(tmp_path / "cloud").machines())
    with client(tmp_path) as opened:
        assert len(opened.runs(all=True)) == 1
        assert "older than what was seen" in str(opened.state()["frozen"])
        with pytest.raises(JournalRolledBack, match="lepton state adopt"):
            opened.run(Job("true", resources="H100:8"))
        assert len(FakeProvider(tmp_path / "cloud").machines()) == made
        assert opened.adopt_state()["frozen"] is None
        assert opened.run(Job("true", resources="H100:8")).exit_code == 0


def test_a_restored_backup_that_went_on_for_as_many_rows_is_still_known(tmp_path: Path) -> None:
    """A second history of the same length: the rows have the same numbers and say something else."""
    run(tmp_path)
    back_up(tmp_path)
    run(tmp_path)
    set_back(tmp_path)
    # This client has no memory of its own, as if it ran on another host that shares the folder.
    with client(tmp_path, cache=tmp_path / "elsewhere") as opened:
        assert opened.run(Job("true", resources="H100:8")).exit_code == 0
    with client(tmp_path) as opened, pytest.raises(JournalRolledBack, match="is another one"):
        opened.run(Job("true", resources="H100:8"))


def test_two_copies_of_one_journal_do_not_both_act(tmp_path: Path) -> None:
    run(tmp_path)
    back_up(tmp_path)
    (tmp_path / "copy").mkdir()
    shutil.copy2(tmp_path / "backup", tmp_path / "copy" / "journal.db")
    run(tmp_path, tmp_path / "copy")
    with client(tmp_path) as opened, pytest.raises(JournalRolledBack):
        opened.run(Job("true", resources="H100:8"))


def test_a_journal_that_goes_back_under_an_open_client_is_known_at_the_next_row(tmp_path: Path) -> None:
    with client(tmp_path) as opened:
        assert opened.run(Job("true", resources="H100:8")).exit_code == 0
        connection = sqlite3.connect(tmp_path / "state" / "journal.db")
        connection.executescript("DROP TRIGGER events_stay; DELETE FROM events WHERE seq > 4")
        connection.close()
        with pytest.raises(JournalRolledBack, match="row 9 is missing"):
            opened.run(Job("true", resources="H100:8"))
