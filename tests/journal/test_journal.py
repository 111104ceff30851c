"""The journal: durable, append-only, and what its rows add up to can be made again from them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk._journal import Journal
from lepton_sdk._journal.schema import VERSION
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.node import STAGES, Stage
from lepton_sdk.domain.run import Event, Run, RunState, apply
from lepton_sdk.errors import (
    ContractViolation,
    JournalCorrupt,
    JournalError,
    JournalTooNew,
    JournalUnwritable,
    UsageError,
)
from lepton_sdk.testing import fake_offer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class FixedClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def plan(run: str) -> Event:
    return Event("run.planned", run, NOW, None, {"job": {"command": "true", "name": "job"}})


def intend(run: str, token: str) -> Event:
    data = {"attempt": 1, "rank": 0, "epoch": 1, "offer": fake_offer(seen_at=NOW).to_dict(), "increment": 1}
    return Event("node.intended", run, NOW, token, data)


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


def filled(journal: Journal, runs: int = 3) -> list[str]:
    ids = [new_id(NOW + timedelta(seconds=n), os.urandom(6)) for n in range(runs)]
    for number, run in enumerate(ids):
        journal.append(plan(run))
        journal.append(intend(run, f"token-{number}"))
    return ids


def test_what_was_written_is_read_again_by_another_object(open_journal: Callable[..., Journal]) -> None:
    first = open_journal()
    ids = filled(first)
    second = open_journal(writable=False)
    assert [run.id for run in second.runs()] == ids[::-1]
    assert second.owner == first.owner
    assert [event.kind for event in second.events(ids[0])] == ["run.planned", "node.intended"]
    assert second.providers_with_open_nodes() == ["fake"]
    assert second.verify() == 6


def test_a_row_that_is_not_legal_is_refused_and_nothing_of_its_group_stays(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    (run,) = filled(journal, 1)
    with pytest.raises(ContractViolation):
        journal.append(
            Event("node.unknown", run, NOW, "token-0"),
            Event("node.running", run, NOW, "token-0", {"epoch": 1}),
        )
    assert journal.run(run).current.stage is Stage.INTENDED  # type: ignore[union-attr]
    assert journal.verify() == 2


def test_rows_can_be_neither_changed_nor_removed(open_journal: Callable[..., Journal], path: Path) -> None:
    filled(open_journal())
    with sqlite3.connect(path) as connection:
        for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


def test_every_commit_is_on_disk_before_the_call_returns(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    pragma = journal._connection.execute
    assert pragma("PRAGMA journal_mode").fetchone()[0] == "wal"
    # 2 is FULL: with NORMAL a power failure may take the last commit, and that may be a paid machine.
    assert pragma("PRAGMA synchronous").fetchone()[0] == 2


def test_the_file_is_for_its_owner_alone(open_journal: Callable[..., Journal], path: Path) -> None:
    filled(open_journal())
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_two_processes_write_one_journal(path: Path) -> None:
    script = (
        "import sys, os; from pathlib import Path; from datetime import datetime, UTC;"
        "from lepton_sdk._clock import SystemClock; from lepton_sdk._journal import Journal;"
        "from lepton_sdk.domain.run import Event; from lepton_sdk.domain.ids import new_id;"
        "j = Journal(Path(sys.argv[1]), SystemClock());"
        "[j.append(Event('run.planned', new_id(datetime.now(UTC), os.urandom(6)), datetime.now(UTC), None,"
        " {'job': {'command': 'true'}})) for _ in range(50)]; print(j.owner)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    owners = {process.communicate(timeout=60)[0] for process in processes}
    assert len(owners) == 1
    journal = Journal(path, FixedClock())
    assert journal.verify() == 150
    journal.close()


# --- bad files ------------------------------------------------------------------------------------------------------


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
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no right to mount a small disk: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


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


# --- the state machine ----------------------------------------------------------------------------------------------

_STAGES = st.lists(st.sampled_from(list(Stage)), max_size=8)


def _event(stage: Stage) -> Event:
    data = {"epoch": 1} if stage is Stage.RUNNING else {}
    return Event(f"node.{stage}", "r", NOW, "t", data)


@given(_STAGES)
def test_only_steps_of_the_table_are_legal(stages: list[Stage]) -> None:
    run: Run = apply(apply(None, plan("r")), intend("r", "t"))
    at = Stage.INTENDED
    for stage in stages:
        if stage in STAGES[at]:
            run, at = apply(run, _event(stage)), stage
        else:
            with pytest.raises(ContractViolation):
                apply(run, _event(stage))
    assert run.current is not None
    assert run.current.stage is at
    assert Run.from_record(run.to_record()) == run


def test_what_is_being_given_back_is_never_used_again() -> None:
    assert STAGES[Stage.RELEASING] == {Stage.RELEASED}
    reachable, todo = set(), [Stage.RELEASING]
    while todo:
        stage = todo.pop()
        reachable.add(stage)
        todo += [s for s in STAGES[stage] if s not in reachable]
    assert reachable == {Stage.RELEASING, Stage.RELEASED}


def test_a_run_does_not_end_while_a_node_may_cost_something() -> None:
    run = apply(apply(None, plan("r")), intend("r", "t"))
    with pytest.raises(ContractViolation, match="cost"):
        apply(run, Event("run.finished", "r", NOW, None, {"state": str(RunState.FAILED)}))
