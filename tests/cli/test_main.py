"""Commands that ask: stable keys, no state, no network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_an_unknown_command_gets_the_nearest(lepton: Lepton) -> None:
    done = lepton("ofers")
    assert done.returncode == 2
    assert "offers" in done.stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["offers", "--gpu", "H1000:8"], ["H1000", "H100"]),
        (["route", "--gpu", "H100:7"], ["nobody sells H100:7", "H100:4", "H100:8"]),
        (["run", "job.yaml"], ["job.yaml", "No such file"]),
        (["run"], ["nothing to run", "--"]),
        (["run", "--env", "NO_SUCH_VARIABLE", "--", "true"], ["NO_SUCH_VARIABLE"]),
        (["run", "--secret", "NO_SUCH_SECRET", "--", "true"], ["NO_SUCH_SECRET", "export"]),
        (["run", "--workdir", "/no/such", "--", "true"], ["workdir", "/no/such"]),
        (["run", "--gpu", "H100:8", "--", "true"], ["no credentials"]),
        (["run", "--duration", "-3", "--", "true"], ["limits.duration", "-3"]),
        (["logs", "nothing"], ["no run"]),
        (["stop", "nothing"], ["no run"]),
    ],
)
def test_bad_input_is_one_clear_error_and_no_state(words: list[str], parts: list[str], lepton: Lepton, tmp_path: Path) -> None:
    done = lepton(*words)
    text = done.stdout + done.stderr
    for part in parts:
        assert part in text, text
    assert "Traceback" not in text
    assert words[0] == "route" or done.returncode not in (0, 1)
    assert not (tmp_path / "state" / "journal.db").exists()


def test_an_error_speaks_json_too(lepton: Lepton) -> None:
    done = lepton("run", "--gpu", "H1000:8", "--json", "--", "true")
    error = json.loads(done.stderr)
    assert error["error"] == "ResourcesError"
    assert error["next"]
