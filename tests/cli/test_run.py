"""Commands that act, over this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import until

Lepton = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_jobs_own(code: int, lepton: Lepton) -> None:
    done = lepton("run", "--", "sh", "-c", f"echo out; exit {code}")
    assert done.returncode == code, done.stderr
    assert done.stdout == "out\n"
    assert f"exit code {code}" in done.stderr


def test_run_speaks_json_and_keeps_output_apart(lepton: Lepton) -> None:
    done = lepton("run", "--json", "--name", "loud", "--", "echo", "output")
    run = json.loads(done.stdout)
    assert {
        "id",
        "name",
        "state",
        "exit_code",
        "attempts",
        "provider",
        "cost",
        "started_at",
        "finished_at",
    } <= set(run)
    assert (run["name"], run["state"], run["exit_code"], run["provider"]) == ("loud", "succeeded", 0, "byoc")
    assert "output" in done.stderr
    listed = json.loads(lepton("ps", "--json").stdout)
    assert [entry["id"] for entry in listed] == [run["id"]]


def test_a_detached_run_is_driven_to_its_end(lepton: Lepton, tmp_path: Path) -> None:
    done = lepton(
        "run",
        "--detach",
        "--secret",
        "TOKEN",
        "--",
        "sh",
        "-c",
        'test "$(printf %s "$TOKEN" | tr 0-9 a-j)" = sdcrdt && echo fine',
        TOKEN="s3cr3t",
    )
    assert done.returncode == 0, done.stderr
    run = done.stdout.strip()
    # The follower alone drives it: reading rows takes no step.
    journal = tmp_path / "state" / "journal.db"

    def ended() -> bool:
        import sqlite3

        connection = sqlite3.connect(journal)
        try:
            return bool(connection.execute("SELECT ended FROM runs").fetchone()[0])
        finally:
            connection.close()

    until(ended, "the follower ends the run")
    assert lepton("logs", run).stdout == "fine\n"
    assert b"s3cr3t" not in b"".join(path.read_bytes() for path in (tmp_path / "state").glob("journal.db*"))
    assert b"s3cr3t" not in (tmp_path / "state" / "follower.log").read_bytes()
