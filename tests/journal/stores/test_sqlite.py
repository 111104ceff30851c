"""The journal in a file: what it asks of the disk, and what it does with a file that does not hold."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import disks
import pytest
from writing import NOW, FixedClock, filled, plan

from lepton_sdk._journal import Journal
from lepton_sdk._journal.stores.sqlite_schema import VERSION
from lepton_sdk.domain.ids import new_id
from lepton_sdk.errors import JournalCorrupt, JournalError, JournalTooNew, JournalUnwritable, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Callable[..., Journal]]:
    opened: list[Journal] = []

    def make(*, writable: bool = True) -> Journal:
        opened.append(Journal(path, FixedClock(), writable=writable))
        return opened[-1]

    yield make
    for journal in opened:
        journal.close()


def test_rows_can_be_neither_changed_nor_removed(open_journal: Callable[..., Journal], path: Path) -> None:
    filled(open_journal())
    with sqlite3.connect(path) as connection:
        for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


def test_every_commit_is_on_disk_before_the_call_returns(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    with journal._store.transaction() as pragma:
        assert pragma("PRAGMA journal_mode") == [("wal",)]
        # 2 is FULL: with NORMAL a power failure may take the last commit, and that may be a paid machine.
        assert pragma("PRAGMA synchronous") == [(2,)]


def test_the_file_is_for_its_owner_alone(open_journal: Callable[..., Journal], path: Path) -> None:
    filled(open_journal())
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_journal_of_a_newer_version_is_left_alone_and_copied_aside(open_journal: Callable[..., Journal], path: Path) -> None:
    journal = open_journal()
    filled(journal)
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(JournalTooNew, match=f"version {VERSION + 1}") as caught:
            open_journal()
    assert path.read_bytes() == before
    (copy,) = [p for p in path.parent.glob("journal.db.newer-*") if not p.name.endswith(("-wal", "-shm"))]
    assert copy.read_bytes() == before
    assert str(copy) in str(caught.value)


def test_a_file_of_somebody_else_is_not_taken_for_a_journal(open_journal: Callable[..., Journal], path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="not a journal"):
        open_journal()
    assert path.read_bytes() == before


def test_text_in_place_of_a_journal_is_refused(open_journal: Callable[..., Journal], path: Path) -> None:
    path.parent.mkdir()
    path.write_text("remember the milk\n" * 100)
    with pytest.raises(JournalCorrupt):
        open_journal()


def test_flipped_bytes_are_never_read_as_truth(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path, FixedClock())
    ids = filled(journal)
    runs, events = journal.runs(), [journal.events(run) for run in ids]
    journal.close()
    whole = path.read_bytes()
    seen = 0
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        try:
            damaged = Journal(path, FixedClock())
        except JournalError:
            seen += 1
            continue
        try:
            assert damaged.runs() == runs
            assert [damaged.events(run) for run in ids] == events
        except (JournalError, UsageError):
            seen += 1
        finally:
            damaged.close()
    # Unused space of a page holds nothing that could lie, so not every flip is seen; most are.
    assert seen > len(whole) // 61 // 20
    for copy in tmp_path.glob("journal.db.damaged-*"):
        copy.unlink()


def test_a_read_only_folder_says_so(open_journal: Callable[..., Journal], path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere; the mount below stands for it")
    path.parent.mkdir()
    path.parent.chmod(0o500)
    with pytest.raises(JournalUnwritable, match="cannot be"):
        open_journal()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def test_a_full_disk_is_told_and_loses_nothing(small_disk: Path) -> None:
    path = small_disk / "state" / "journal.db"
    journal = Journal(path, FixedClock())
    written = 0

    def fill() -> None:
        nonlocal written
        while written < 10_000:
            journal.append(plan(new_id(NOW + timedelta(seconds=written), os.urandom(6))))
            written += 1

    with pytest.raises(JournalUnwritable, match="full"):
        fill()
    assert len(journal.runs()) == written > 10
    journal.close()


def test_a_read_only_mount_is_told(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(JournalUnwritable, match="LEPTON_SDK_STATE"):
        Journal(small_disk / "state" / "journal.db", FixedClock())
