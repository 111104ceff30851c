"""``lepton ps``, ``logs``, ``pull`` and ``stop``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_a_killed_client_leaves_a_run_that_another_stops(long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton) -> None:
    process = long_run()
    process.kill()
    process.communicate()
    (node,) = json.loads(lepton("nodes", "--json").stdout)
    assert {"id", "provider", "state", "run", "price_per_hour", "cost_so_far", "since"} <= set(node)
    assert lepton("logs", "long").stdout == "begun\n"
    assert lepton("stop", "long").stdout.endswith("stopped\n")
    assert json.loads(lepton("nodes", "--json").stdout) == []


def test_logs_follow_to_the_end(lepton: Lepton, place: Path, environment: dict[str, str]) -> None:
    lepton("run", "--detach", "--name", "ticks", "--", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert lepton("logs", "-f", "ticks").stdout == "1\n2\n3\n"
    lines = [json.loads(line) for line in lepton("logs", "--json", "--offset", "2", "ticks").stdout.splitlines()]
    assert (lines[0]["offset"], "".join(line["text"] for line in lines)) == (2, "2\n3\n")
