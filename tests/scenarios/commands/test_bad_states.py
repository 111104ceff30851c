"""A state folder that cannot be used: one clear error, nothing started, nothing overwritten."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import disks
import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", "600k") as folder:
        yield folder


def started(tmp_path: Path) -> bool:
    return (tmp_path / "proof").exists()


def test_a_read_only_state_folder(lepton: Lepton, disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = lepton("run", "--", "touch", str(tmp_path / "proof"), LEPTON_SDK_STATE=str(disk / "state"))
    assert done.returncode == 74, done.stderr
    assert str(disk / "state") in done.stderr
    assert "LEPTON_SDK_STATE" in done.stderr
    assert not started(tmp_path)


def test_a_full_state_folder(lepton: Lepton, disk: Path, tmp_path: Path) -> None:
    (disk / "ballast").write_bytes(b"x" * 590_000)
    done = lepton("run", "--", "touch", str(tmp_path / "proof"), LEPTON_SDK_STATE=str(disk / "state"))
    assert done.returncode == 74, done.stderr
    assert "full" in done.stderr or "No space" in done.stderr
    assert "Traceback" not in done.stderr
    assert not started(tmp_path)


@pytest.mark.parametrize("command", [["run", "--", "true"], ["ps"], ["nodes"], ["stop", "x"], ["reconcile"]])
def test_a_journal_of_a_newer_version_is_left_alone(command: list[str], lepton: Lepton, tmp_path: Path) -> None:
    assert lepton("run", "--", "true").returncode == 0
    journal = tmp_path / "state" / "journal.db"
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA user_version = 999")
    connection.commit()
    connection.close()
    before = journal.read_bytes()
    done = lepton(*command)
    assert done.returncode == 74
    assert "version 999" in done.stderr
    assert "newer lepton_sdk" in done.stderr
    assert journal.read_bytes() == before
    assert list(journal.parent.glob("journal.db.newer-*"))


def test_a_damaged_journal_is_copied_aside_and_never_overwritten(lepton: Lepton, tmp_path: Path) -> None:
    assert lepton("run", "--name", "precious", "--", "true").returncode == 0
    journal = tmp_path / "state" / "journal.db"
    whole = journal.read_bytes()
    place = whole.index(b"precious")
    damaged = whole[:place] + b"previous" + whole[place + 8 :]
    journal.write_bytes(damaged)
    for command in (["ps", "--all"], ["run", "--", "touch", str(tmp_path / "proof")]):
        done = lepton(*command)
        assert done.returncode == 74
        assert "damaged" in done.stderr
    assert journal.read_bytes() == damaged
    (copy,) = [p for p in journal.parent.glob("journal.db.damaged-*") if not p.name.endswith(("-wal", "-shm"))]
    assert copy.read_bytes() == damaged
    assert not started(tmp_path)
    doctor = lepton("doctor")
    assert doctor.returncode == 1
    assert "FAIL" in doctor.stdout
