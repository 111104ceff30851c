"""The journal, in a file and in a database: durable, append-only, and made again from its rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from writing import FixedClock, filled

from lepton_sdk._journal import Journal
from lepton_sdk._journal.store import Place
from lepton_sdk.errors import JournalError


def test_what_was_written_is_read_again_by_another_object(open_journal: Callable[..., Journal]) -> None:
    first = open_journal()
    ids = filled(first)
    second = open_journal(writable=False)
    assert [run.id for run in second.runs()] == ids[::-1]
    assert second.owner == first.owner
    assert [event.kind for event in second.events(ids[0])] == ["run.planned", "node.intended"]
    assert second.providers_with_open_nodes() == ["fake"]
    assert second.verify() == 6


def test_rows_can_be_neither_changed_nor_removed(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    filled(journal)
    for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
        with pytest.raises(JournalError, match="append-only"), journal._store.transaction() as execute:
            execute(statement)
    assert journal.verify() == 6


def test_two_processes_write_one_journal(where: str, place: Place, tmp_path: Path) -> None:
    script = (
        "import sys, os; from datetime import datetime, UTC;"
        "from lepton_sdk._config import load_config; from lepton_sdk._engine.engine import Engine;"
        "from lepton_sdk.domain.events import event_of;"
        "s = Engine(load_config(state=sys.stdin.read(), cache='cache'));"
        "[s.journal.append(event_of('run.planned', s.new_id(), datetime.now(UTC), None,"
        " {'job': {'command': 'true'}})) for _ in range(50)]; print(s.journal.owner)"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": tmp_path}
    processes = [subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(where)
        process.stdin.close()
        process.stdin = None
    owners = {process.communicate(timeout=60)[0] for process in processes}
    assert len(owners) == 1
    journal = Journal(place, FixedClock())
    assert journal.verify() == 150
    journal.close()
