"""A plugin that blocks the event loop is named from a thread of its own, and whoever comes next does without it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lepton_sdk._engine.claims.stall import blamed
from lepton_sdk.testing import FakeProvider

_PLUGIN = """
import time
from pathlib import Path
from lepton_sdk.testing import FakeProvider
from lepton_sdk.spi.executor import ExecutionStatus

class Blocking:
    async def start(self, node, execution): ...
    async def poll(self, node, execution):
        # Once somebody says so it never comes back, and never gives way.
        while Path({flag!r}).exists():
            time.sleep(0.05)
        return ExecutionStatus("running")
    async def logs(self, node, execution, offset=0, *, follow=False):
        for piece in ():
            yield piece
    async def cancel(self, node, execution): ...
    async def aclose(self): ...
"""
_CLIENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from attrs import evolve
from strangers_ways import Blocking
from lepton_sdk._config import load_config
from lepton_sdk._engine.followers.follow import follow_all
from lepton_sdk._engine.timing import USUAL
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.claims.stall import end_this_process
from lepton_sdk._engine.runs.submit import record
from lepton_sdk import Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

async def main():
    folder = Path(sys.argv[1])
    config = load_config(state=folder / "state", cache=folder / "cache")
    engine = Engine(
        config, providers={FAKE_SPEC: FakeProvider(folder / "cloud")}, executors={"local": Blocking()},
        timing=evolve(USUAL, stall=0.5),
    )
    end_this_process()
    if not engine.has_journal():
        record(engine, Job("true", resources="H100:8"))
    await follow_all(engine, until_idle=True)
    await engine.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("blocks_at_once", [True, False])
def test_the_follower_ends_and_its_successor_gives_the_machine_back(tmp_path: Path, blocks_at_once: bool) -> None:
    flag = tmp_path / "block"
    (tmp_path / "strangers_ways.py").write_text(_PLUGIN.format(flag=str(flag)))
    if blocks_at_once:
        flag.touch()
    argv = [sys.executable, "-c", _CLIENT, str(tmp_path)]
    first = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        if not blocks_at_once:
            _wait_for(tmp_path, '"node.running"')
            flag.touch()
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == 70, said
    assert "the plugin strangers_ways blocked this follower, in strangers_ways:" in said
    second = subprocess.run(argv, stderr=subprocess.PIPE, text=True, timeout=60)
    assert second.returncode == 0, second.stderr
    cloud = FakeProvider(tmp_path / "cloud")
    assert len(cloud.machines()) == 1
    assert cloud.running() == []


def _wait_for(folder: Path, text: str) -> None:
    import sqlite3

    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            rows = sqlite3.connect(f"file:{folder}/state/journal.db?mode=ro", uri=True).execute("SELECT kind FROM events")
            if any(f'"{kind}"' == text for (kind,) in rows):
                return
        except sqlite3.Error:
            pass
        time.sleep(0.05)
    pytest.fail(f"no row {text}")


def test_a_process_that_stood_still_blames_nobody(tmp_path: Path) -> None:
    """It was stopped as a whole, so the thread that watches was stopped as well."""
    flag = tmp_path / "block"
    (tmp_path / "strangers_ways.py").write_text(_PLUGIN.format(flag=str(flag)))
    process = subprocess.Popen([sys.executable, "-c", _CLIENT, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(tmp_path, '"node.running"')
        process.send_signal(signal.SIGSTOP)
        # Far longer than a blocked loop is given.
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        # And then longer than the thread waits for a loop that has only just come back.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(6)
    finally:
        process.kill()
        _, said = process.communicate()
    assert "blocked" not in said


def test_the_innermost_frame_of_a_plugin_is_blamed() -> None:
    namespace = {"__name__": "stranger.deep.inside"}
    exec("import sys\ndef busy():\n    return sys._getframe()\n", namespace)
    name, place = blamed(namespace["busy"](), {"stranger": "stranger"})  # type: ignore[operator]
    assert (name, place) == ("stranger", "stranger.deep.inside:3 (busy)")
    assert blamed(sys._getframe(), {"stranger": "stranger"})[0] is None
