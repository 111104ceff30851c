"""Followers that stand still, wake up and find that the world went on; clocks that jump."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from waiting import until

from lepton_sdk import Client, Job, RunState
from lepton_sdk._clock import SteadyClock
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

MakeClient = Callable[[FakeProvider], Client]

# A client whose claims last a second and a half, so that standing still for two is long.
_CLIENT = """
import asyncio, sys
from pathlib import Path
from attrs import evolve
from lepton_sdk._engine import timing
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider
timing.USUAL = evolve(timing.USUAL, claim=1.5, renewal=0.3)
folder, stop_at, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
class Cloud(FakeProvider):
    async def acquire(self, offer, launch):
        print("create", flush=True)
        return await super().acquire(offer, launch)
def on_event(event):
    print(event.kind, flush=True)
    if event.kind == stop_at:
        sys.stdin.readline()
with Client(cache=folder / "cache", providers={FAKE_SPEC: Cloud(folder / "cloud")}) as client:
    if what == "run":
        command = f"echo before; echo begun >>{folder}/begun; while ! [ -e {folder}/go ]; do sleep 0.02; done; echo after"
        job = Job(command, resources="H100:8", name="long")
        run = client.run(job, on_event=on_event, on_output=lambda chunk: print(chunk.decode(), end="", flush=True))
    else:
        run = client.wait("long")
    print("ended", run.state, flush=True)
"""


@pytest.fixture
def start(tmp_path: Path, where: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(what: str, stop_at: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _CLIENT, str(tmp_path), stop_at, what],
            env=os.environ | {"LEPTON_SDK_STATE": where},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    (tmp_path / "go").touch()
    for process in started:
        process.kill()
        process.communicate()


def _read_to(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    while (said := process.stdout.readline()) != f"{line}\n":
        assert said, f"it ended before {line}"


def test_one_that_stood_still_finds_its_run_taken_over(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]], make_client: MakeClient
) -> None:
    first = start("run")
    _read_to(first, "node.running")
    until((tmp_path / "begun").exists)
    first.send_signal(signal.SIGSTOP)
    second = start("wait")
    watcher = make_client(FakeProvider(tmp_path / "cloud"))
    until(lambda: _is_held_by(watcher, second))
    first.send_signal(signal.SIGCONT)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert all(text.endswith("ended succeeded\n") for text in said)
    # Its output went on where it stood, to the last byte, though another one drove the run to its end.
    assert [line for line in said[0].splitlines() if line in ("before", "after")][-1] == "after"
    assert (tmp_path / "begun").read_text() == "begun\n"
    cloud = FakeProvider(tmp_path / "cloud")
    assert (len(cloud.machines()), cloud.running()) == (1, [])


def _is_held_by(client: Client, process: subprocess.Popen[str]) -> bool:
    journal = client._client._engine.journal
    (run_id,) = journal.open_runs()
    holder = journal.holder(run_id)
    return holder is not None and f"/{process.pid}/" in holder[0]


def test_a_create_call_does_not_leave_after_the_claim_ran_out(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]], make_client: MakeClient
) -> None:
    first = start("run", stop_at="node.intended")
    # The row is written, the call has not left, and nothing moves in that process for longer than its claim lasts.
    _read_to(first, "node.intended")
    second = start("wait")
    watcher = make_client(FakeProvider(tmp_path / "cloud"))
    until(lambda: _is_held_by(watcher, second))
    assert first.stdin is not None
    first.stdin.write("\n")
    first.stdin.flush()
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert "ended succeeded" in said[0]
    assert "create" not in said[0].splitlines()
    assert said[1].splitlines().count("create") == 1
    assert len(FakeProvider(tmp_path / "cloud").machines()) == 1


class Jumping(SteadyClock):
    """The clock of this host, set forward or back by hours while it is in use."""

    def __init__(self) -> None:
        self.by = timedelta(0)
        super().__init__()

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.by


@pytest.mark.parametrize("hours", [-7, 9])
def test_a_clock_that_jumps_ends_no_run_and_starts_none_twice(hours: int, tmp_path: Path, where: str) -> None:
    clock = Jumping()
    cloud = FakeProvider(tmp_path / "cloud")

    def jump(_: bytes) -> None:
        clock.by = timedelta(hours=hours)
        (tmp_path / "go").touch()

    job = Job(
        f"echo begun | tee -a {tmp_path}/begun; while ! [ -e {tmp_path}/go ]; do sleep 0.02; done; sleep 1",
        resources="H100:8",
        limits={"duration": "1h"},
    )
    with Client(cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}, clock=clock) as client:
        run = client.run(job, on_output=jump)
    assert run.state is RunState.SUCCEEDED, run.error
    assert (tmp_path / "begun").read_text() == "begun\n"
    assert (len(cloud.machines()), cloud.running()) == (1, [])
